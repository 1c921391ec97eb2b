/*
** json_numbers.c - see json_numbers.h.
** SPDX-License-Identifier: MIT
*/
#include "engine/number/json_numbers.h"

#include <string.h>

#include "engine/number/number.h"

struct scan {
  const char *text, *end;
  const char *copied; /* everything before this is in out */
  struct uq_buf *out;
  struct uq_json_numbers *result;
};

static enum uq_json_numbers_status bad(struct scan *s, const char *at,
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
** 0: there is none. */
static size_t utf8_length(const unsigned char *p, const unsigned char *end) {
  unsigned char low = 0x80, high = 0xBF;
  size_t n;
  if (p[0] >= 0xC2 && p[0] <= 0xDF)
    n = 2;
  else if (p[0] >= 0xE0 && p[0] <= 0xEF)
    n = 3;
  else if (p[0] >= 0xF0 && p[0] <= 0xF4)
    n = 4;
  else
    return 0;
  if (p[0] == 0xE0)
    low = 0xA0; /* overlong */
  else if (p[0] == 0xED)
    high = 0x9F; /* surrogates */
  else if (p[0] == 0xF0)
    low = 0x90; /* overlong */
  else if (p[0] == 0xF4)
    high = 0x8F; /* beyond U+10FFFF */
  if ((size_t)(end - p) < n || p[1] < low || p[1] > high)
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
      return bad(s, p, "control byte in a string");
    if (c == '\\') {
      /* which escapes there are is the library's matter */
      p += s->end - p > 1 ? 2 : 1;
    } else if (c < 0x80) {
      p++;
    } else {
      size_t n =
          utf8_length((const unsigned char *)p, (const unsigned char *)s->end);
      if (n == 0)
        return bad(s, p, "invalid UTF-8");
      p += n;
    }
  }
  if (p >= s->end)
    return bad(s, *at, "unterminated string");
  *at = p + 1;
  return UQ_JSON_NUMBERS_OK;
}

static bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '+' || c == '-';
}

/* *at is the first byte of a bare word; moves it behind. Numbers go out
** quoted. */
static enum uq_json_numbers_status take_word(struct scan *s, const char **at) {
  static const char mark[] = {'"', UQ_NUMBER_MARK};
  const char *start = *at, *p = start;
  while (p < s->end && is_word(*p))
    p++;
  size_t n = (size_t)(p - start);
  *at = p;
  if (*start == '-' || (*start >= '0' && *start <= '9')) {
    if (!uq_number_valid(start, n))
      return bad(s, start, "malformed number");
    bool ok = copy_to(s, start) &&
              uq_buf_append(s->out, mark, sizeof mark) == UQ_BUF_OK &&
              copy_to(s, p) && uq_buf_append(s->out, "\"", 1) == UQ_BUF_OK;
    return ok ? UQ_JSON_NUMBERS_OK : UQ_JSON_NUMBERS_NOMEM;
  }
  if ((n == 4 &&
       (memcmp(start, "null", 4) == 0 || memcmp(start, "true", 4) == 0)) ||
      (n == 5 && memcmp(start, "false", 5) == 0))
    return UQ_JSON_NUMBERS_OK;
  return bad(s, start, "unknown literal");
}

static const char *skip_space(const char *p, const char *end) {
  while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
    p++;
  return p;
}

/* At a comma: is it the last thing before a closing bracket? */
static bool trailing_comma(const char *comma, const char *end) {
  const char *p = skip_space(comma + 1, end);
  return p < end && (*p == '}' || *p == ']');
}

enum uq_json_numbers_status
uq_json_stringify_numbers(const char *text, size_t len, bool mend,
                          struct uq_buf *out, struct uq_json_numbers *result) {
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
        return bad(&s, p, "nested too deeply");
      p++;
      break;
    case '}':
    case ']':
      depth--;
      p++;
      break;
    case ':':
      if (!after_string)
        return bad(&s, p, "a name must be a string");
      result->members++;
      p++;
      break;
    case ',':
      if (mend && trailing_comma(p, s.end)) {
        if (!copy_to(&s, p))
          return UQ_JSON_NUMBERS_NOMEM;
        s.copied = p + 1;
      }
      p++;
      break;
    default:
      if (!is_word(*p))
        return bad(&s, p, "unexpected byte");
      if ((status = take_word(&s, &p)) != UQ_JSON_NUMBERS_OK)
        return status;
    }
    after_string = string;
    p = skip_space(p, s.end);
  }
  return copy_to(&s, s.end) ? UQ_JSON_NUMBERS_OK : UQ_JSON_NUMBERS_NOMEM;
}
