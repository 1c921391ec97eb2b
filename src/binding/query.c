/*
** query.c - see query.h. Values are checked and percent-encoded ("+08:00"
** becomes "%2B08%3A00": a bare "+" would be decoded as a blank).
** SPDX-License-Identifier: MIT
*/
#include "binding/query.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "binding/check.h"
#include "binding/compat.h"
#include "binding/options.h"
#include "engine/api/endpoint.h"
#include "engine/number/datetime.h"

#define MAX_COUNT 32 /* bytes of a number as text */

bool uq_query_has_param(const struct uq_endpoint *e, const char *name) {
  const struct uq_param *p = e->params;
  while (p != NULL && p->name != NULL && strcmp(p->name, name) != 0)
    p++;
  return p != NULL && p->name != NULL;
}

static int raise_type(lua_State *L, const struct uq_param *p,
                      const char *method, const char *expected) {
  return luaL_error(L, "bad option '%s' to '%s' (%s expected, got %s)", p->name,
                    method, expected, luaL_typename(L, -1));
}

static const char *check_value(const struct uq_param *p, const char *text,
                               size_t len) {
  switch (p->type) {
  case UQ_PARAM_CURRENCY:
    return uq_check_currency(text, len);
  case UQ_PARAM_UUID:
    return uq_check_uuid(text, len);
  case UQ_PARAM_TIME:
    return uq_check_time(text, len);
  default:
    return uq_check_word(text, len);
  }
}

/* Prints the number at the top to scratch. NULL: it is refused. */
static const char *read_count(lua_State *L, const struct uq_param *p,
                              const char *method, struct uq_refusal *refused,
                              char scratch[MAX_COUNT]) {
  if (lua_type(L, -1) != LUA_TNUMBER)
    raise_type(L, p, method, "a whole number");
  double value = (double)lua_tonumber(L, -1);
  if (!(value >= 1 && value <= p->max) || floor(value) != value) {
    char expected[64];
    snprintf(expected, sizeof expected, "a whole number from 1 to %d expected",
             p->max);
    uq_refuse(refused, p->name, expected, false);
    return NULL;
  }
  snprintf(scratch, MAX_COUNT, "%ld", (long)value);
  return scratch;
}

/* The value at the top as text; a number is printed to scratch. NULL: it is
** refused. */
static const char *read_param(lua_State *L, const struct uq_param *p,
                              const char *method, struct uq_refusal *refused,
                              char scratch[MAX_COUNT]) {
  if (p->type == UQ_PARAM_COUNT)
    return read_count(L, p, method, refused, scratch);
  size_t len;
  if (lua_type(L, -1) != LUA_TSTRING)
    raise_type(L, p, method, "string");
  const char *text = lua_tolstring(L, -1, &len);
  const char *expected = check_value(p, text, len);
  if (expected == NULL)
    return text;
  uq_refuse(refused, p->name, expected, len == 0);
  return NULL;
}

/* Appends "name=value" to the query, whose size is enough for the longest. */
static void append_param(char *query, size_t *len, const char *name,
                         const char *value) {
  static const char digits[] = "0123456789ABCDEF";
  char *at = query + *len;
  at += sprintf(at, "%c%s=", *len == 0 ? '?' : '&', name);
  for (; *value != '\0'; value++) {
    unsigned char c = (unsigned char)*value;
    bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
                 (c >= 'a' && c <= 'z') || strchr("-._~", c) != NULL;
    if (plain) {
      *at++ = (char)c;
    } else {
      *at++ = '%';
      *at++ = digits[c >> 4];
      *at++ = digits[c & 15];
    }
  }
  *at = '\0';
  *len = (size_t)(at - query);
}

/* Reads a time of the table at idx. False: it has no such time. */
static bool get_time(lua_State *L, int idx, const char *name,
                     struct uq_datetime *time) {
  size_t len;
  lua_getfield(L, idx, name);
  const char *text =
      lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &len) : NULL;
  bool good = text != NULL &&
              uq_datetime_parse(text, len, NULL, time) == UQ_DATETIME_OK;
  lua_pop(L, 1);
  return good;
}

/* True if the table at idx has a start and an end in the wrong order. */
static bool ends_before_start(lua_State *L, int idx) {
  struct uq_datetime start, end;
  return get_time(L, idx, "start_time", &start) &&
         get_time(L, idx, "end_time", &end) &&
         (end.seconds < start.seconds || (end.seconds == start.seconds &&
                                          end.nanoseconds < start.nanoseconds));
}

void uqL_query_push(lua_State *L, const struct uq_endpoint *e, int idx,
                    const char *method, char *currency,
                    struct uq_refusal *refused) {
  char query[UQ_QUERY_MAX], scratch[MAX_COUNT];
  size_t len = 0;
  query[0] = '\0';
  for (const struct uq_param *p = e->params; p != NULL && p->name != NULL;
       p++) {
    const char *value = p->value;
    if (idx != 0)
      lua_getfield(L, idx, p->name);
    else
      lua_pushnil(L);
    if (!lua_isnil(L, -1))
      value = read_param(L, p, method, refused, scratch);
    if (value != NULL && p->type == UQ_PARAM_CURRENCY)
      memcpy(currency, value, strlen(value) + 1);
    if (value != NULL)
      append_param(query, &len, p->name, value);
    lua_pop(L, 1);
  }
  if (e->each != NULL && idx != 0 && strcmp(method, e->each) == 0 &&
      ends_before_start(L, idx)) /* a page is left to the API */
    uq_refuse(refused, "end_time", "not before start_time expected", false);
  lua_pushlstring(L, query, len);
}
