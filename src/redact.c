/*
** redact.c - see redact.h.
** SPDX-License-Identifier: MIT
*/
#define _GNU_SOURCE /* memmem */
#include "redact.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"

#define MARK "[redacted]"
#define PART                                                                   \
  16                  /* a shorter part may be chance; a shorter secret counts \
                         whole */
#define VIEW_MAX 8192 /* bytes that are looked at: more than are ever shown */

/* A text as one reads it, escapes undone, blanks, control bytes and backslashes
** left out; and where in the text each character begins and ends. */
struct view {
  size_t len;
  char text[VIEW_MAX];
  uint16_t from[VIEW_MAX], to[VIEW_MAX];
};

struct work {
  struct view text, secrets[2];
};

static int hex_digit(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  c |= 0x20;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The number that exactly n hexadecimal digits are; -1: they are not. */
static int hex_number(const char *p, const char *end, int n) {
  int value = 0;
  if (end - p < n)
    return -1;
  for (int i = 0; i < n; i++) {
    int digit = hex_digit(p[i]);
    if (digit < 0)
      return -1;
    value = value * 16 + digit;
  }
  return value;
}

/* Reads one character at p, and returns how many bytes it takes. White space
** and other control bytes are left out, and what escapes others: *c is 0. */
static size_t read_char(const char *p, const char *end, char *c) {
  int value = -1;
  size_t n = 1;
  if (*p == '\\' && end - p >= 2 && strchr("bfnrt", p[1]) != NULL) {
    value = 0; /* a control byte in JSON's words */
    n = 2;
  } else if (*p == '\\' && end - p >= 6 && p[1] == 'u') {
    value = hex_number(p + 2, end, 4);
    n = 6;
  } else if (*p == '%') {
    value = hex_number(p + 1, end, 2);
    n = 3;
  }
  if (value < 0 || value > 0x7F) {
    value = (unsigned char)*p;
    n = 1;
  }
  *c = value <= ' ' || value == 0x7F || value == '\\' ? '\0' : (char)value;
  return n;
}

static void read_view(struct view *v, const char *text, size_t len) {
  const char *end = text + (len < VIEW_MAX ? len : VIEW_MAX);
  v->len = 0;
  for (const char *p = text; p < end;) {
    char c;
    size_t n = read_char(p, end, &c);
    if (c != '\0') {
      v->text[v->len] = c;
      v->from[v->len] = (uint16_t)(p - text);
      v->to[v->len] = (uint16_t)(p - text + (ptrdiff_t)n);
      v->len++;
    }
    p += n;
  }
}

/* How many characters of the view, from at on, are a part of the secret that
** must not be seen. */
static size_t secret_at(const struct view *v, size_t at,
                        const struct view *secret) {
  size_t enough = secret->len < PART ? secret->len : PART, longest = 0;
  const char *text = v->text + at;
  size_t left = v->len - at;
  if (enough == 0 || left < enough ||
      memmem(secret->text, secret->len, text, enough) == NULL)
    return 0;
  for (size_t i = 0; i < secret->len; i++) {
    size_t n = 0;
    while (n < left && i + n < secret->len && text[n] == secret->text[i + n])
      n++;
    if (n > longest)
      longest = n;
  }
  return longest;
}

static void read_secret(struct view *v, const char *secret) {
  static const char bearer[] = "Bearer ";
  v->len = 0;
  if (secret == NULL)
    return;
  if (strncmp(secret, bearer, sizeof bearer - 1) == 0)
    secret += sizeof bearer - 1; /* no secret, and found in good advice */
  read_view(v, secret, strlen(secret));
}

static size_t write(struct work *w, const char *text, size_t len, bool line,
                    char *out, size_t size) {
  size_t written = 0, at = 0;
  for (size_t i = 0; i < len && written < size;) {
    size_t n = 0;
    while (at < w->text.len && w->text.from[at] < i)
      at++;
    if (at < w->text.len && w->text.from[at] == i) {
      n = secret_at(&w->text, at, &w->secrets[0]);
      if (n == 0)
        n = secret_at(&w->text, at, &w->secrets[1]);
    }
    if (n > 0) {
      if (size - written < sizeof MARK - 1)
        break;
      memcpy(out + written, MARK, sizeof MARK - 1);
      written += sizeof MARK - 1;
      i = w->text.to[at + n - 1];
      continue;
    }
    unsigned char c = (unsigned char)text[i++];
    out[written++] = line && (c < 0x20 || c == 0x7F) ? ' ' : (char)c;
  }
  return written;
}

size_t uq_redact(const char *text, size_t len, const struct uq_secrets *secrets,
                 bool line, char *out, size_t size) {
  struct work *w = malloc(sizeof *w);
  if (w == NULL)
    return UQ_REDACT_NOMEM;
  if (len > VIEW_MAX)
    len = VIEW_MAX;
  read_view(&w->text, text, len);
  read_secret(&w->secrets[0], secrets->sent);
  read_secret(&w->secrets[1], secrets->earlier);
  size_t written = write(w, text, len, line, out, size);
  uq_wipe(w->text.text, w->text.len);
  for (int i = 0; i < 2; i++)
    uq_wipe(w->secrets[i].text, w->secrets[i].len);
  free(w);
  return written;
}
