/*
** json_numbers.c - see json_numbers.h.
** SPDX-License-Identifier: MIT
*/
#include "engine/number/json_numbers.h"

#include <string.h>

#include "engine/base/ascii.h"
#include "engine/number/number.h"

struct scan {
  const char *text, *end;
  const char *copied; /* everything before this is in out */
  struct uq_buf *out;
  struct uq_json_numbers *result;
};

static enum uq_json_numbers_status reject(struct scan *s, const char *at,
                                          const char *why) {
  s->result->why = why;
  s->result->at = (size_t)(at - s->text) + 1;
  return UQ_JSON_NUMBERS_BAD;
}

/* Copies the text up to p. */
static bool copy_to(struct scan *s, const char *p) {
  size_t n = (size_t)(p - s->copied);
  bool ok = uq_buf_append(s->out, s->copied, n) == UQ_BUF_OK;
  s->copied = p;
  return ok;
}

/* The length of the well-formed UTF-8 sequence at p (Unicode, table 3-7);
** 0: malformed. */
static size_t utf8_length(const unsigned char *p, const unsigned char *end) {
  static const struct {
    unsigned char first, last; /* range of the first byte */
    unsigned char low, high;   /* range of the second; of more: 80..BF */
    unsigned char length;
  } rows[] = {{0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3},
              {0xE1, 0xEC, 0x80, 0xBF, 3}, {0xED, 0xED, 0x80, 0x9F, 3},
              {0xEE, 0xEF, 0x80, 0xBF, 3}, {0xF0, 0xF0, 0x90, 0xBF, 4},
              {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4}};
  size_t row = 0;
  while (row < sizeof rows / sizeof *rows && p[0] > rows[row].last)
    row++;
  if (row == sizeof rows / sizeof *rows || p[0] < rows[row].first)
    return 0;
  size_t n = rows[row].length;
  if ((size_t)(end - p) < n || p[1] < rows[row].low || p[1] > rows[row].high)
    return 0;
  for (size_t i = 2; i < n; i++) {
    if ((p[i] & 0xC0) != 0x80)
      return 0;
  }
  return n;
}

/* *at is an opening quote; moves it behind the closing one. */
static enum uq_json_numbers_status skip_string(struct scan *s,
                                               const char **at) {
  const char *p = *at + 1;
  while (p < s->end && *p != '"') {
    unsigned char c = (unsigned char)*p;
    if (c < 0x20)
      return reject(s, p, "control byte in a string");
    if (c == '\\') {
      /* the JSON library checks which escape it is */
      p += s->end - p > 1 ? 2 : 1;
    } else if (c < 0x80) {
      p++;
    } else {
      size_t n =
          utf8_length((const unsigned char *)p, (const unsigned char *)s->end);
      if (n == 0)
        return reject(s, p, "invalid UTF-8");
      p += n;
    }
  }
  if (p >= s->end)
    return reject(s, *at, "unterminated string");
  *at = p + 1;
  return UQ_JSON_NUMBERS_OK;
}

static bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || uq_is_digit(c) ||
         c == '_' || c == '.' || c == '+' || c == '-';
}

static bool is_literal(const char *word, size_t len) {
  if (len == 5)
    return memcmp(word, "false", 5) == 0;
  return len == 4 &&
         (memcmp(word, "null", 4) == 0 || memcmp(word, "true", 4) == 0);
}

/* Writes everything up to the number and the number itself as a string. */
static bool write_number(struct scan *s, const char *start, const char *end) {
  static const char mark[] = {'"', UQ_NUMBER_MARK};
  return copy_to(s, start) &&
         uq_buf_append(s->out, mark, sizeof mark) == UQ_BUF_OK &&
         copy_to(s, end) && uq_buf_append(s->out, "\"", 1) == UQ_BUF_OK;
}

/* *at is the first byte of a bare word; moves it behind the word. */
static enum uq_json_numbers_status convert_word(struct scan *s,
                                                const char **at) {
  const char *start = *at, *p = start;
  while (p < s->end && is_word(*p))
    p++;
  size_t n = (size_t)(p - start);
  *at = p;
  if (*start != '-' && !uq_is_digit(*start))
    return is_literal(start, n) ? UQ_JSON_NUMBERS_OK
                                : reject(s, start, "unknown literal");
  if (!uq_number_valid(start, n))
    return reject(s, start, "malformed number");
  return write_number(s, start, p) ? UQ_JSON_NUMBERS_OK : UQ_JSON_NUMBERS_NOMEM;
}

static const char *skip_space(const char *p, const char *end) {
  while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
    p++;
  return p;
}

/* True if only white space is between this comma and a closing bracket. */
static bool is_trailing_comma(const char *comma, const char *end) {
  const char *p = skip_space(comma + 1, end);
  return p < end && (*p == '}' || *p == ']');
}

enum uq_json_numbers_status
uq_json_stringify_numbers(const char *text, size_t len,
                          bool allow_trailing_comma, struct uq_buf *out,
                          struct uq_json_numbers *result) {
  struct scan s = {text, text + len, text, out, result};
  enum uq_json_numbers_status status;
  bool after_string = false; /* only a string may come before a colon */
  int depth = 0;
  const char *p = skip_space(text, s.end);
  result->members = 0;
  result->why = NULL;
  result->at = 0;
  while (p < s.end) {
    bool string = false;
    switch (*p) {
    case '"':
      if ((status = skip_string(&s, &p)) != UQ_JSON_NUMBERS_OK)
        return status;
      string = true;
      break;
    case '{':
    case '[':
      if (++depth > UQ_JSON_DEPTH)
        return reject(&s, p, "nested too deeply");
      p++;
      break;
    case '}':
    case ']':
      depth--;
      p++;
      break;
    case ':':
      if (!after_string)
        return reject(&s, p, "a name must be a string");
      result->members++;
      p++;
      break;
    case ',':
      if (allow_trailing_comma && is_trailing_comma(p, s.end)) {
        if (!copy_to(&s, p))
          return UQ_JSON_NUMBERS_NOMEM;
        s.copied = p + 1;
      }
      p++;
      break;
    default:
      if (!is_word(*p))
        return reject(&s, p, "unexpected byte");
      if ((status = convert_word(&s, &p)) != UQ_JSON_NUMBERS_OK)
        return status;
    }
    after_string = string;
    p = skip_space(p, s.end);
  }
  return copy_to(&s, s.end) ? UQ_JSON_NUMBERS_OK : UQ_JSON_NUMBERS_NOMEM;
}
