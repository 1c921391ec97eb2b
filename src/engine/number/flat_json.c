/*
** flat_json.c - see flat_json.h.
** SPDX-License-Identifier: MIT
*/
#include "engine/number/flat_json.h"

#include <string.h>

#include "engine/number/number.h"

/* What is left of the text. */
struct rest {
  const char *at, *end;
};

/* The NUL behind the text is no white space. */
static void skip_space(struct rest *r) {
  while (*r->at == ' ' || *r->at == '\n' || *r->at == '\r' || *r->at == '\t')
    r->at++;
}

/* True if the byte is the next: skips it and the white space around it. */
static bool skip_byte(struct rest *r, char byte) {
  skip_space(r);
  if (r->at == r->end || *r->at != byte)
    return false;
  r->at++;
  skip_space(r);
  return true;
}

static bool is_string(const struct rest *r) {
  return r->at < r->end && *r->at == '"';
}

/* True for printable ASCII that a JSON string need not escape. */
static bool is_plain(char byte) {
  return (unsigned char)(byte - ' ') < 0x7F - ' ' && byte != '"' &&
         byte != '\\';
}

static bool read_string(struct rest *r, const char **text, size_t *len) {
  const char *at = *text = ++r->at; /* behind the quote */
  while (is_plain(*at))             /* which the NUL at the end is not */
    at++;
  *len = (size_t)(at - r->at);
  r->at = at + 1;
  return *at == '"';
}

/* Reads a name up to the next quote, escaped or not: a name with an escape is
** none of those that the caller looks up. */
static bool read_name(struct rest *r, const char **name, size_t *len) {
  if (!is_string(r))
    return false;
  *name = r->at + 1;
  const char *quote = memchr(*name, '"', (size_t)(r->end - *name));
  if (quote == NULL)
    return false;
  *len = (size_t)(quote - *name);
  r->at = quote + 1;
  return true;
}

static bool read_number(struct rest *r, const char **text, size_t *len) {
  const char *at = r->at;
  while (at < r->end && *at != ',' && *at != '}' && *at > ' ')
    at++;
  *text = r->at;
  *len = (size_t)(at - r->at);
  r->at = at;
  return uq_number_valid(*text, *len);
}

static bool read_member(struct rest *r, struct uq_member *m) {
  if (!read_name(r, &m->name, &m->name_len) || !skip_byte(r, ':'))
    return false;
  m->string = is_string(r);
  return m->string ? read_string(r, &m->text, &m->len)
                   : read_number(r, &m->text, &m->len);
}

int uq_flat_json_parse(const char *text, size_t len, struct uq_member *members,
                       int max) {
  struct rest r = {text, text + len};
  int n = 0;
  if (!skip_byte(&r, '{'))
    return 0;
  do {
    if (n == max || !read_member(&r, &members[n]))
      return 0;
    n++;
  } while (skip_byte(&r, ','));
  return skip_byte(&r, '}') && r.at == r.end ? n : 0;
}
