/*
** option_values.c - see option_values.h.
** SPDX-License-Identifier: MIT
*/
#include "binding/option_values.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "binding/check.h"
#include "binding/client.h"
#include "binding/compat.h"
#include "binding/error.h"
#include "binding/options.h"
#include "binding/token.h"
#include "engine/base/ascii.h"
#include "engine/base/buf.h"
#include "engine/number/number.h"

#define MAX_APP 100 /* bytes of a field of app_info */

/* Keeps the value at the top in the client's user value. */
static void keep_value(lua_State *L, const struct uq_reading *r,
                       const char *name) {
  if (r->client == NULL)
    return;
  lua_pushvalue(L, -1);
  lua_setfield(L, r->user_value, name);
}

/* ------------------------------------------------------------------------ */
/* of clients and calls                                                      */
/* ------------------------------------------------------------------------ */

static const char *check_string(lua_State *L, const struct uq_reading *r,
                                const struct uq_option *o, size_t *len) {
  if (lua_type(L, -1) != LUA_TSTRING)
    uqL_option_type_error(L, r, o->name, "string");
  return lua_tolstring(L, -1, len);
}

/* The same, which passes the option's check. */
static const char *check_text(lua_State *L, const struct uq_reading *r,
                              const struct uq_option *o, size_t *len) {
  const char *text = check_string(L, r, o, len);
  const char *expected = o->check(text, *len);
  if (expected != NULL)
    uqL_option_text_error(L, r, o->name, expected);
  return text;
}

void uqL_read_text(lua_State *L, const struct uq_reading *r,
                   const struct uq_option *o, void *field) {
  size_t len;
  *(const char **)field = check_text(L, r, o, &len);
  keep_value(L, r, o->name);
}

void uqL_read_value(lua_State *L, const struct uq_reading *r,
                    const struct uq_option *o, void *field) {
  char *copy = field;
  size_t len;
  const char *text = check_string(L, r, o, &len);
  const char *expected = o->check(text, len);
  copy[0] = '\0';
  if (expected == NULL)
    snprintf(copy, (size_t)o->max, "%s", text);
  else if (r->refused != NULL)
    uq_refuse(r->refused, o->name, expected, len == 0);
  else
    uqL_option_text_error(L, r, o->name, expected);
}

static double check_number(lua_State *L, const struct uq_reading *r,
                           const struct uq_option *o, bool whole) {
  char expected[40 + 2 * UQ_NUMBER_TEXT], min[UQ_NUMBER_TEXT],
      max[UQ_NUMBER_TEXT];
  uq_number_text(o->min, 15, min);
  uq_number_text(o->max, 15, max);
  snprintf(expected, sizeof expected, "%s from %s to %s",
           whole ? "a whole number" : "seconds", min, max);
  if (lua_type(L, -1) != LUA_TNUMBER)
    uqL_option_type_error(L, r, o->name, expected);
  double value = (double)lua_tonumber(L, -1);
  bool in_range = value >= o->min && value <= o->max; /* not so: NaN */
  if (!in_range || (whole && floor(value) != value)) {
    lua_pushfstring(L, "%s expected, got %f", expected, value);
    uqL_option_error(L, r, o->name, lua_tostring(L, -1));
  }
  return value;
}

void uqL_read_seconds(lua_State *L, const struct uq_reading *r,
                      const struct uq_option *o, void *field) {
  *(double *)field = check_number(L, r, o, false);
}

void uqL_read_whole(lua_State *L, const struct uq_reading *r,
                    const struct uq_option *o, void *field) {
  *(int *)field = (int)check_number(L, r, o, true);
}

/* Pushes `"a" or "b" or "c"`. */
static const char *push_names(lua_State *L, const char *const *names) {
  lua_pushliteral(L, "");
  for (int i = 0; names[i] != NULL; i++) {
    lua_pushfstring(L, "%s\"%s\"", i == 0 ? "" : " or ", names[i]);
    lua_concat(L, 2);
  }
  return lua_tostring(L, -1);
}

void uqL_read_choice(lua_State *L, const struct uq_reading *r,
                     const struct uq_option *o, void *field) {
  for (int i = 0; o->names[i] != NULL; i++) {
    if (uqL_option_equals(L, -1, o->names[i])) {
      *(int *)field = i;
      return;
    }
  }
  const char *names = push_names(L, o->names);
  lua_insert(L, -2); /* below the value */
  if (lua_type(L, -1) != LUA_TSTRING)
    uqL_option_type_error(L, r, o->name, names);
  lua_pushfstring(L, "%s expected", names);
  lua_insert(L, -2);
  uqL_option_text_error(L, r, o->name, lua_tostring(L, -2));
}

void uqL_read_switch(lua_State *L, const struct uq_reading *r,
                     const struct uq_option *o, void *field) {
  if (!lua_isboolean(L, -1))
    uqL_option_type_error(L, r, o->name, "boolean");
  *(bool *)field = lua_toboolean(L, -1) != 0;
}

void uqL_read_function(lua_State *L, const struct uq_reading *r,
                       const struct uq_option *o, void *field) {
  (void)field;
  if (!lua_isfunction(L, -1))
    uqL_option_type_error(L, r, o->name, "function");
}

/* ------------------------------------------------------------------------ */
/* of clients only                                                           */
/* ------------------------------------------------------------------------ */

void uqL_read_hook(lua_State *L, const struct uq_reading *r,
                   const struct uq_option *o, void *field) {
  struct uq_client *c = r->client;
  assert(c != NULL); /* an option UQ_FOR_CLIENT, as all below */
  uqL_read_function(L, r, o, field);
  keep_value(L, r, o->name);
  c->hooks.request |= strcmp(o->name, "on_request") == 0;
  c->hooks.response |= strcmp(o->name, "on_response") == 0;
  c->hooks.retry |= strcmp(o->name, "on_retry") == 0;
}

void uqL_read_transport(lua_State *L, const struct uq_reading *r,
                        const struct uq_option *o, void *field) {
  (void)field;
  assert(r->client != NULL);
  if (!lua_isfunction(L, -1)) {
    if (!luaL_getmetafield(L, -1, "__call"))
      uqL_option_type_error(L, r, o->name, "function");
    lua_pop(L, 1);
  }
  r->client->custom.given = true;
  keep_value(L, r, o->name);
}

/* Keeps a function of the clock, whose table is at the top, by its name. */
static void keep_clock_function(lua_State *L, const struct uq_reading *r,
                                const char *name) {
  lua_pushfstring(L, "clock.%s", name);
  const char *option = lua_tostring(L, -1);
  lua_getfield(L, -2, name);
  if (!lua_isfunction(L, -1))
    uqL_option_type_error(L, r, option, "function");
  lua_rawset(L, r->user_value);
}

/* clock = { now=, sleep= } */
void uqL_read_clock(lua_State *L, const struct uq_reading *r,
                    const struct uq_option *o, void *field) {
  (void)field;
  assert(r->client != NULL);
  if (!lua_istable(L, -1))
    uqL_option_type_error(L, r, o->name, "table");
  keep_clock_function(L, r, "now");
  keep_clock_function(L, r, "sleep");
  r->client->clock.given = true;
}

void uqL_read_token(lua_State *L, const struct uq_reading *r,
                    const struct uq_option *o, void *field) {
  struct uq_client *c = r->client;
  size_t len;
  (void)field;
  assert(c != NULL);
  if (lua_isfunction(L, -1)) {
    c->token.function = true;
    keep_value(L, r, o->name);
    return;
  }
  if (lua_type(L, -1) != LUA_TSTRING)
    uqL_option_type_error(L, r, o->name, "string or function");
  const char *text = lua_tolstring(L, -1, &len);
  const char *expected = uq_token_take(&c->token.text, text, len);
  if (expected != NULL)
    uqL_option_error(L, r, o->name, expected);
}

void uqL_read_api_key(lua_State *L, const struct uq_reading *r,
                      const struct uq_option *o, void *field) {
  struct uq_client *c = r->client;
  size_t len;
  (void)field;
  assert(c != NULL);
  const char *text = check_text(L, r, o, &len);
  if (uq_buf_append(&c->api_key, text, len + 1) != UQ_BUF_OK)
    uqL_no_memory(L);
}

/* Keeps the store's method of that name in the user value, as "token_store."
** and the name. At the top: the store. False: it has none. */
static bool keep_method(lua_State *L, const struct uq_reading *r,
                        const struct uq_option *o, const char *name,
                        bool optional) {
  lua_getfield(L, -1, name);
  bool found = lua_isfunction(L, -1);
  if (!found && !(optional && lua_isnil(L, -1)))
    uqL_option_error(L, r, o->name,
                     "methods get and set, and lock and unlock or neither, "
                     "expected");
  lua_pushfstring(L, "%s.%s", o->name, name);
  lua_insert(L, -2);
  lua_rawset(L, r->user_value);
  return found;
}

void uqL_read_store(lua_State *L, const struct uq_reading *r,
                    const struct uq_option *o, void *field) {
  (void)field;
  bool object = !lua_isstring(L, -1) && /* whose metatable has one, too */
                luaL_getmetafield(L, -1, "__index") != 0;
  if (object)
    lua_pop(L, 1);
  if (!object && !lua_istable(L, -1))
    uqL_option_type_error(L, r, o->name, "table or userdata");
  keep_method(L, r, o, "get", false);
  keep_method(L, r, o, "set", false);
  bool lock = keep_method(L, r, o, "lock", true);
  bool unlock = keep_method(L, r, o, "unlock", true);
  if (lock != unlock)
    uqL_option_error(L, r, o->name,
                     "methods lock and unlock, or neither, expected");
  assert(r->client != NULL);
  r->client->store.given = true;
  keep_value(L, r, o->name);
}

/* Appends a member of the app_info table at idx to the string at the top. */
static void append_app(lua_State *L, const struct uq_reading *r, int idx,
                       const char *name, const char *before,
                       const char *after) {
  lua_getfield(L, idx, name);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    return;
  }
  size_t len;
  lua_pushfstring(L, "app_info.%s", name);
  const char *option = lua_tostring(L, -1);
  lua_insert(L, -2); /* kept below the value */
  if (lua_type(L, -1) != LUA_TSTRING)
    uqL_option_type_error(L, r, option, "string");
  const char *text = lua_tolstring(L, -1, &len);
  if (len > MAX_APP || !uq_check_agent(text, len))
    uqL_option_text_error(
        L, r, option,
        "a word of 1 to " UQ_DIGITS_OF(
            MAX_APP) " visible ASCII bytes without brackets expected");
  lua_remove(L, -2);
  lua_pushstring(L, before);
  lua_insert(L, -2);
  lua_pushstring(L, after);
  lua_concat(L, 4);
}

/* app_info = { name=, version=, url= } */
void uqL_read_app(lua_State *L, const struct uq_reading *r,
                  const struct uq_option *o, void *field) {
  const char **user_agent = field;
  int idx = lua_gettop(L);
  if (!lua_istable(L, idx))
    uqL_option_type_error(L, r, o->name, "table");
  uqL_option_check_plain(L, r, idx);
  lua_getfield(L, idx, "name");
  if (lua_isnil(L, -1))
    uqL_option_error(L, r, "app_info.name", "a string expected, got nil");
  lua_pop(L, 1);
  for (lua_pushnil(L); lua_next(L, idx) != 0; lua_pop(L, 1)) {
    if (!uqL_option_equals(L, -2, "name") &&
        !uqL_option_equals(L, -2, "version") &&
        !uqL_option_equals(L, -2, "url"))
      uqL_option_error(L, r, o->name,
                       "only name, version and url expected in it");
  }
  lua_pushstring(L, *user_agent);
  append_app(L, r, idx, "name", " ", "");
  append_app(L, r, idx, "version", "/", "");
  append_app(L, r, idx, "url", " (", ")");
  keep_value(L, r, "user_agent");
  *user_agent = lua_tostring(L, -1);
  lua_pop(L, 1);
}
