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

static void skip_blanks(struct rest *r) {
  while (r->at < r->end &&
         (*r->at == ' ' || *r->at == '\n' || *r->at == '\r' || *r->at == '\t'))
    r->at++;
}

/* Takes the byte, with blanks around it, if it is the next. */
static bool take(struct rest *r, char byte) {
  skip_blanks(r);
  if (r->at == r->end || *r->at != byte)
    return false;
  r->at++;
  skip_blanks(r);
  return true;
}

static bool is_string(const struct rest *r) {
  return r->at < r->end && *r->at == '"';
}

/* A byte of a string that stands for itself. */
static bool is_plain(char byte) {
  return (unsigned char)(byte - ' ') < 0x7F - ' ' && byte != '"' &&
         byte != '\\';
}

static bool take_string(struct rest *r, const char **text, size_t *len) {
  const char *at = *text = ++r->at; /* behind the quote */
  while (is_plain(*at))             /* which the NUL at the end is not */
    at++;
  *len = (size_t)(at - r->at);
  r->at = at + 1;
  return *at == '"';
}

/* Takes a name, whatever is in it: it is one that is looked for, or not. */
static bool take_name(struct rest *r, const char **name, size_t *len) {
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

static bool take_number(struct rest *r, const char **text, size_t *len) {
  const char *at = r->at;
  while (at < r->end && *at != ',' && *at != '}' && *at > ' ')
    at++;
  *text = r->at;
  *len = (size_t)(at - r->at);
  r->at = at;
  return uq_number_valid(*text, *len);
}

static bool take_member(struct rest *r, struct uq_member *m) {
  if (!take_name(r, &m->name, &m->name_len) || !take(r, ':'))
    return false;
  m->string = is_string(r);
  return m->string ? take_string(r, &m->text, &m->len)
                   : take_number(r, &m->text, &m->len);
}

int uq_flat_json_parse(const char *text, size_t len, struct uq_member *members,
                       int max) {
  struct rest r = {text, text + len};
  int n = 0;
  if (!take(&r, '{'))
    return 0;
  do {
    if (n == max || !take_member(&r, &members[n]))
      return 0;
    n++;
  } while (take(&r, ','));
  return take(&r, '}') && r.at == r.end ? n : 0;
}
