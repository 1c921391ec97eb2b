/*
** redact.c - see redact.h.
** SPDX-License-Identifier: MIT
*/
#define _GNU_SOURCE /* memmem */
#include "engine/base/redact.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/buf.h"

#define MARK "[redacted]"
#define VIEW_MAX 8192  /* bytes that are searched: more than are ever shown */
#define PART 16        /* shortest part of a secret to hide */
#define BASE64_LEAST 4 /* shortest secret to look for in base64 */
#define BYTES_MAX (VIEW_MAX / 4 * 3 + 3) /* what base64 of VIEW_MAX encodes */
#define PASSES 3                         /* depth of nested escapes */
#define GRAM 4                           /* bytes */
#define GRAM_BITS 16

/* A text with escapes decoded and white space, control bytes and backslashes
** removed; and the range of the original text that each character is from. */
struct view {
  size_t len;
  char *text;
  uint16_t *from, *to; /* offsets; NULL: not needed */
};

struct secret {
  struct view view;
  char text[VIEW_MAX];
  uint8_t grams[(1 << GRAM_BITS) / 8]; /* bit set of its grams, by hash */
};

struct work {
  struct view view, decoded;
  struct secret secrets[2];
  char text[VIEW_MAX], bytes[BYTES_MAX];
  uint16_t from[VIEW_MAX], to[VIEW_MAX];
  uint16_t bytes_from[BYTES_MAX], bytes_to[BYTES_MAX];
  uint16_t hidden[VIEW_MAX]; /* by begin: the end of a hidden range, or 0 */
};

/* ------------------------------------------------------------------------ */
/* escapes                                                                   */
/* ------------------------------------------------------------------------ */

static int hex_digit(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  c |= 0x20;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The value of exactly n hexadecimal digits; -1: they are not digits. */
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

/* HTML's "&#47;" or "&#x2F;" at p. Returns its length, or 0. */
static size_t read_reference(const char *p, const char *end, int *value) {
  const char *at = p + 2;
  int base = 10, digits = 0;
  if (at < end && (*at == 'x' || *at == 'X')) {
    base = 16;
    at++;
  }
  for (*value = 0; at < end && digits < 7; at++, digits++) {
    int digit = hex_digit(*at);
    if (digit < 0 || digit >= base)
      break;
    *value = *value * base + digit;
  }
  return digits > 0 && at < end && *at == ';' ? (size_t)(at + 1 - p) : 0;
}

/* HTML's "&amp;" or "&#47;" at p. Returns its length, or 0. */
static size_t read_entity(const char *p, const char *end, int *value) {
  static const struct {
    char name[8];
    unsigned char c;
  } names[] = {{"amp;", '&'},    {"lt;", '<'},     {"gt;", '>'},
               {"quot;", '"'},   {"apos;", '\''},  {"sol;", '/'},
               {"plus;", '+'},   {"equals;", '='}, {"lowbar;", '_'},
               {"period;", '.'}, {"colon;", ':'},  {"comma;", ','}};
  if (end - p >= 2 && p[1] == '#')
    return read_reference(p, end, value);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    size_t len = strlen(names[i].name);
    if ((size_t)(end - p) > len && memcmp(p + 1, names[i].name, len) == 0) {
      *value = names[i].c;
      return len + 1;
    }
  }
  return 0;
}

/* A JSON escape at p. Sets its character, 0 for a control byte. Returns its
** length, or 0. */
static size_t read_json_escape(const char *p, const char *end, int *value) {
  if (end - p >= 2 && strchr("bfnrt", p[1]) != NULL) {
    *value = 0;
    return 2;
  }
  if (end - p < 6 || p[1] != 'u')
    return 0;
  *value = hex_number(p + 2, end, 4);
  return 6;
}

/* Any escape at p. Returns its length, or 0; value is below 0 if malformed. */
static size_t read_escape(const char *p, const char *end, int *value) {
  switch (*p) {
  case '\\':
    return read_json_escape(p, end, value);
  case '%':
    *value = hex_number(p + 1, end, 2);
    return 3;
  case '&':
    return read_entity(p, end, value);
  default:
    return 0;
  }
}

/* Reads one character at p, and returns how many bytes it takes. *c is 0 for
** what is ignored: white space, other control bytes and backslashes. */
static size_t read_char(const char *p, const char *end, char *c) {
  int value = -1;
  size_t n = read_escape(p, end, &value);
  if (n == 0 || value < 0 || value > 0x7F) {
    value = (unsigned char)*p;
    n = 1;
  }
  *c = value <= ' ' || value == 0x7F || value == '\\' ? '\0' : (char)value;
  return n;
}

/* Decodes the escapes of the view in place. True if there was one: the result
** may contain another. */
static bool decode_escapes(struct view *v) {
  const char *end = v->text + v->len;
  size_t len = 0;
  bool decoded = false;
  for (size_t at = 0; at < v->len;) {
    char c;
    size_t n = read_char(v->text + at, end, &c);
    if (n > v->len - at)
      n = v->len - at;
    decoded |= n > 1;
    if (c != '\0') {
      v->text[len] = c;
      if (v->from != NULL) {
        v->from[len] = v->from[at];
        v->to[len] = v->to[at + n - 1];
      }
      len++;
    }
    at += n;
  }
  v->len = len;
  return decoded;
}

/* ------------------------------------------------------------------------ */
/* base64                                                                    */
/* ------------------------------------------------------------------------ */

/* The value of a character of either alphabet; -1: none. */
static int base64_value(char c) {
  if (c >= 'A' && c <= 'Z')
    return c - 'A';
  if (c >= 'a' && c <= 'z')
    return c - 'a' + 26;
  if (c >= '0' && c <= '9')
    return c - '0' + 52;
  if (c == '+' || c == '-')
    return 62;
  return c == '/' || c == '_' ? 63 : -1;
}

/* Appends the bytes encoded by the characters from at to end. A byte's range
** is that of the two characters that have its bits. */
static void decode_base64_run(const struct view *v, size_t at, size_t end,
                              struct view *out) {
  for (unsigned place = 0; at + 1 < end; at++, place = (place + 1) % 4) {
    if (place == 3)
      continue;
    unsigned high = (unsigned)base64_value(v->text[at]);
    unsigned low = (unsigned)base64_value(v->text[at + 1]);
    out->text[out->len] =
        (char)(high << (2 + 2 * place) | low >> (4 - 2 * place));
    out->from[out->len] = v->from[at];
    out->to[out->len] = v->to[at + 1];
    out->len++;
  }
}

/* Decodes whatever may be base64 in the view: runs of at least `least`
** characters, each from its character `phase` on. */
static void decode_base64(const struct view *v, size_t phase, size_t least,
                          struct view *out) {
  out->len = 0;
  for (size_t at = 0, end; at < v->len; at = end + 1) {
    end = at;
    while (end < v->len && base64_value(v->text[end]) >= 0)
      end++;
    if (end - at >= least)
      decode_base64_run(v, at + phase, end, out);
  }
}

/* ------------------------------------------------------------------------ */
/* secrets                                                                   */
/* ------------------------------------------------------------------------ */

static unsigned gram_hash(const char *p) {
  uint32_t gram;
  memcpy(&gram, p, GRAM);
  return gram * 2654435761U >> (32 - GRAM_BITS);
}

static void index_grams(struct secret *s) {
  memset(s->grams, 0, sizeof s->grams);
  for (size_t i = 0; i + GRAM <= s->view.len; i++) {
    unsigned hash = gram_hash(s->view.text + i);
    s->grams[hash / 8] |= (uint8_t)(1U << hash % 8);
  }
}

/* False if no part of `enough` characters begins here. True is seldom wrong,
** so that the search is nearly always avoided. */
static bool may_begin(const struct secret *s, const char *text, size_t enough) {
  for (size_t i = 0; i + GRAM <= enough; i += GRAM) {
    unsigned hash = gram_hash(text + i);
    if ((s->grams[hash / 8] & 1U << hash % 8) == 0)
      return false;
  }
  return true;
}

/* The length of the part of the secret that the view contains at `at`; 0:
** none, or too short to hide. */
static size_t leaked_length(const struct view *v, size_t at,
                            const struct secret *s) {
  const struct view *secret = &s->view;
  size_t enough = secret->len < PART ? secret->len : PART, longest = 0;
  const char *text = v->text + at;
  size_t left = v->len - at;
  if (enough == 0 || left < enough || !may_begin(s, text, enough))
    return 0;
  const char *end = secret->text + secret->len;
  for (const char *p = secret->text; longest < left; p++) {
    size_t n = enough;
    p = memmem(p, (size_t)(end - p), text, enough);
    if (p == NULL)
      break;
    while (n < left && p + n < end && text[n] == p[n])
      n++;
    if (n > longest)
      longest = n;
  }
  return longest;
}

/* Marks as hidden what the view contains of secrets of at least `least`
** characters. */
static void hide_secrets(struct work *w, const struct view *v, size_t least) {
  for (size_t at = 0; at < v->len;) {
    size_t n = 0;
    for (int i = 0; i < 2 && n == 0; i++) {
      if (w->secrets[i].view.len >= least)
        n = leaked_length(v, at, &w->secrets[i]);
    }
    if (n > 0) {
      uint16_t *hidden = &w->hidden[v->from[at]];
      if (*hidden < v->to[at + n - 1])
        *hidden = v->to[at + n - 1];
    }
    at += n > 0 ? n : 1;
  }
}

static void hide_in_base64(struct work *w) {
  size_t shortest = PART;
  for (int i = 0; i < 2; i++) {
    size_t len = w->secrets[i].view.len;
    if (len >= BASE64_LEAST && len < shortest)
      shortest = len;
  }
  for (size_t phase = 0; phase < 4; phase++) {
    decode_base64(&w->view, phase, (shortest * 8 + 5) / 6, &w->decoded);
    (void)decode_escapes(&w->decoded);
    hide_secrets(w, &w->decoded, BASE64_LEAST);
  }
}

/* ------------------------------------------------------------------------ */
/* redaction                                                                 */
/* ------------------------------------------------------------------------ */

static void init_text(struct work *w, const char *text, size_t len) {
  struct view *v = &w->view;
  v->text = w->text;
  v->from = w->from;
  v->to = w->to;
  v->len = len;
  memcpy(v->text, text, len);
  for (size_t i = 0; i < len; i++) {
    v->from[i] = (uint16_t)i;
    v->to[i] = (uint16_t)(i + 1);
  }
  w->decoded.text = w->bytes;
  w->decoded.from = w->bytes_from;
  w->decoded.to = w->bytes_to;
}

static void init_secret(struct secret *s, const char *text) {
  static const char bearer[] = "Bearer ";
  s->view.text = s->text;
  s->view.from = s->view.to = NULL;
  s->view.len = 0;
  if (text == NULL)
    return;
  if (strncmp(text, bearer, sizeof bearer - 1) == 0)
    text += sizeof bearer - 1; /* not secret: other texts contain it, too */
  size_t len = strlen(text);
  s->view.len = len < VIEW_MAX ? len : VIEW_MAX;
  memcpy(s->text, text, s->view.len);
}

/* Marks all secrets as hidden, also in nested escapes. */
static void hide_all(struct work *w) {
  bool decoded = true;
  for (int pass = 0; pass < PASSES && decoded; pass++) {
    decoded = decode_escapes(&w->view);
    for (int i = 0; i < 2; i++) {
      if (w->secrets[i].view.len == 0)
        continue;
      (void)decode_escapes(&w->secrets[i].view);
      index_grams(&w->secrets[i]);
    }
    hide_secrets(w, &w->view, 1);
    hide_in_base64(w);
  }
}

/* The end of the hidden range at i, joined with those that begin within it. */
static size_t hidden_end(const struct work *w, size_t i) {
  size_t end = w->hidden[i];
  for (; i < end; i++) {
    if (w->hidden[i] > end)
      end = w->hidden[i];
  }
  return end;
}

static size_t write_shown(const struct work *w, const char *text, size_t len,
                          bool line, char *out, size_t size) {
  size_t written = 0;
  for (size_t i = 0; i < len && written < size;) {
    if (w->hidden[i] > 0) {
      if (size - written < sizeof MARK - 1)
        break;
      memcpy(out + written, MARK, sizeof MARK - 1);
      written += sizeof MARK - 1;
      i = hidden_end(w, i);
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
  memset(w->hidden, 0, len * sizeof *w->hidden);
  init_secret(&w->secrets[0], secrets->sent);
  init_secret(&w->secrets[1], secrets->earlier);
  size_t kept[2] = {w->secrets[0].view.len, w->secrets[1].view.len};
  if (kept[0] > 0 || kept[1] > 0) {
    init_text(w, text, len);
    hide_all(w);
    uq_wipe(w->text, len);
    uq_wipe(w->bytes, len / 4 * 3 + 3);
  }
  size_t written = write_shown(w, text, len, line, out, size);
  for (int i = 0; i < 2; i++)
    uq_wipe(w->secrets[i].text, kept[i]);
  free(w);
  return written;
}
