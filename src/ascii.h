/*
** ascii.h - comparing words whatever their case, and whatever the process
** locale takes for a letter. Knows no Lua and no curl.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_ASCII_H
#define UQ_ASCII_H

#include <stdbool.h>
#include <stddef.h>

static inline char uq_lower(char c) {
  return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/* Does the text of len bytes begin with this lower-case word? */
static inline bool uq_begins(const char *text, size_t len, const char *word) {
  size_t i = 0;
  for (; word[i] != '\0'; i++) {
    if (i == len || uq_lower(text[i]) != word[i])
      return false;
  }
  return true;
}

/* Is this lower-case word anywhere in the text? */
static inline bool uq_contains(const char *text, size_t len, const char *word) {
  for (size_t i = 0; i < len; i++) {
    if (uq_begins(text + i, len - i, word))
      return true;
  }
  return false;
}

#endif
