/*
** query.c - the query of a GET: the endpoint's parameters, checked and
** percent-encoded ("+08:00" is "%2B08%3A00": a bare "+" would be a blank).
** SPDX-License-Identifier: MIT
*/
#include <stdio.h>
#include <string.h>

#include "moment.h"
#include "uqpay.h"

#define MAX_WORD 64 /* bytes of a parameter */

bool uq_query_knows(const struct uq_endpoint *e, const char *name) {
  const struct uq_param *p = e->params;
  while (p != NULL && p->name != NULL && strcmp(p->name, name) != 0)
    p++;
  return p != NULL && p->name != NULL;
}

static int bad_param(lua_State *L, const struct uq_param *p, const char *method,
                     const char *expected) {
  return luaL_error(L, "bad option '%s' to '%s' (%s)", p->name, method,
                    expected);
}

/* NULL: it will do; else what is expected. */
static const char *check_text(const struct uq_param *p, const char *text,
                              size_t len) {
  struct uq_moment moment;
  if (len == 0 || len > MAX_WORD)
    return "a string of 1 to 64 bytes expected";
  for (size_t i = 0; i < len; i++) {
    if (text[i] < ' ' || text[i] >= 0x7F)
      return "a string of visible ASCII expected";
  }
  switch (p->type) {
  case UQ_PARAM_CURRENCY:
    return uq_currency_check(text, len);
  case UQ_PARAM_UUID:
    return uq_uuid_valid(text, len) ? NULL : "a UUID expected";
  case UQ_PARAM_TIME:
    if (uq_moment_parse(text, len, NULL, &moment) == UQ_MOMENT_OK)
      return NULL;
    return "a time with its zone expected, such as 2024-03-21T17:17:32+08:00";
  default:
    return strchr(text, ' ') == NULL ? NULL : "a word expected";
  }
}

/* The value at the top as text; a number's is put in scratch. */
static const char *read_param(lua_State *L, const struct uq_param *p,
                              const char *method, char scratch[32]) {
  if (p->type == UQ_PARAM_COUNT) {
    double value = (double)lua_tonumber(L, -1);
    char expected[64];
    snprintf(expected, sizeof expected, "a whole number from 1 to %d expected",
             p->max);
    if (lua_type(L, -1) != LUA_TNUMBER || !(value >= 1 && value <= p->max) ||
        (double)(long)value != value)
      bad_param(L, p, method, expected);
    snprintf(scratch, 32, "%ld", (long)value);
    return scratch;
  }
  size_t len;
  if (lua_type(L, -1) != LUA_TSTRING) {
    lua_pushfstring(L, "string expected, got %s", luaL_typename(L, -1));
    bad_param(L, p, method, lua_tostring(L, -1));
  }
  const char *text = lua_tolstring(L, -1, &len);
  const char *expected = check_text(p, text, len);
  if (expected != NULL)
    bad_param(L, p, method, expected);
  return text;
}

/* Appends "name=value" to the query. Its size bears the longest of all. */
static void append(char *query, size_t *len, const char *name,
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

void uqL_query_push(lua_State *L, const struct uq_endpoint *e, int idx,
                    const char *method, char *currency, size_t size) {
  char query[UQ_QUERY_MAX], scratch[32];
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
      value = read_param(L, p, method, scratch);
    if (value != NULL && p->type == UQ_PARAM_CURRENCY)
      snprintf(currency, size, "%s", value);
    if (value != NULL)
      append(query, &len, p->name, value);
    lua_pop(L, 1);
  }
  lua_pushlstring(L, query, len);
}
