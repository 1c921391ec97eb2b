/*
** ascii.h - tests of ASCII characters and words, independent of the process
** locale. Knows no Lua and no curl.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_BASE_ASCII_H
#define UQ_BASE_ASCII_H

#include <stdbool.h>
#include <stddef.h>

/* The digits of a macro that is a number, as a string literal. */
#define UQ_DIGITS_OF(macro) UQ_DIGITS(macro)
#define UQ_DIGITS(number) #number

static inline char uq_lower(char c) {
  return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static inline bool uq_is_digit(char c) { return c >= '0' && c <= '9'; }

/* True if the text is visible ASCII only, without spaces. */
static inline bool uq_is_visible(const char *text, size_t len) {
  for (size_t i = 0; i < len; i++) {
    if (text[i] <= ' ' || text[i] >= 0x7F)
      return false;
  }
  return true;
}

/* True if the text has a control byte. */
static inline bool uq_has_control(const char *text, size_t len) {
  for (size_t i = 0; i < len; i++) {
    if ((unsigned char)text[i] < ' ' || text[i] == 0x7F)
      return true;
  }
  return false;
}

/* True if the text begins with this lower-case word, in any case. */
static inline bool uq_begins(const char *text, size_t len, const char *word) {
  size_t i = 0;
  for (; word[i] != '\0'; i++) {
    if (i == len || uq_lower(text[i]) != word[i])
      return false;
  }
  return true;
}

/* True if this lower-case word, in any case, is anywhere in the text. */
static inline bool uq_contains(const char *text, size_t len, const char *word) {
  for (size_t i = 0; i < len; i++) {
    if (uq_begins(text + i, len - i, word))
      return true;
  }
  return false;
}

#endif
