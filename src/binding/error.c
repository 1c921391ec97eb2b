/*
** error.c - the error table: its kind and message, and `nil, message, err`.
** Text from outside gets into it through uqL_push_redacted only.
** SPDX-License-Identifier: MIT
*/
#include "binding/error.h"

#include <string.h>

#include "binding/compat.h"
#include "engine/base/error_kind.h"
#include "engine/base/redact.h"

#define MAX_FIELD 128 /* bytes of a field's text */

static const char *const kind_names[] = {"ok",
#define KIND_NAME(id, name) name,
                                         UQ_KINDS(KIND_NAME)
#undef KIND_NAME
};

enum uq_kind uq_kind_named(const char *name) {
  size_t count = sizeof kind_names / sizeof *kind_names;
  for (size_t i = 1; i < count; i++) {
    if (strcmp(kind_names[i], name) == 0)
      return (enum uq_kind)i;
  }
  return UQ_OK;
}

static int error_tostring(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_getfield(L, 1, "message");
  if (!lua_isstring(L, -1))
    lua_pushliteral(L, "uqpay error");
  return 1;
}

void uqL_error_open(lua_State *L) {
  luaL_newmetatable(L, UQ_ERROR);
  lua_pushcfunction(L, error_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_pushliteral(L, UQ_ERROR);
  lua_setfield(L, -2, "__name");
  lua_pop(L, 1);
}

void uqL_error_kinds(lua_State *L) {
  int count = (int)(sizeof kind_names / sizeof *kind_names);
  lua_createtable(L, count - 1, count - 1);
  for (int i = 1; i < count; i++) {
    lua_pushstring(L, kind_names[i]);
    lua_pushvalue(L, -1);
    lua_rawseti(L, -3, i);
    lua_setfield(L, -2, kind_names[i]);
  }
}

void uqL_error_new(lua_State *L, enum uq_kind kind) {
  lua_newtable(L);
  lua_insert(L, -2);
  lua_setfield(L, -2, "message");
  uqL_error_set_string(L, "kind", kind_names[kind]);
  luaL_getmetatable(L, UQ_ERROR);
  lua_setmetatable(L, -2);
}

void uqL_error_unsent(lua_State *L, enum uq_kind kind) {
  uqL_error_new(L, kind);
  lua_pushinteger(L, 0);
  lua_setfield(L, -2, "attempts");
  lua_pushnumber(L, 0);
  lua_setfield(L, -2, "elapsed");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "retryable");
}

void uqL_error_append_message(lua_State *L, const char *text) {
  lua_getfield(L, -1, "message");
  lua_pushstring(L, text);
  lua_concat(L, 2);
  lua_setfield(L, -2, "message");
}

void uqL_error_set_string(lua_State *L, const char *name, const char *value) {
  if (value == NULL || value[0] == '\0')
    return;
  lua_pushstring(L, value);
  lua_setfield(L, -2, name);
}

void uqL_error_set_redacted(lua_State *L, const char *name, const char *text,
                            const struct uq_secrets *secrets) {
  if (text[0] == '\0')
    return;
  uqL_push_redacted(L, text, strlen(text), MAX_FIELD, secrets, true);
  lua_setfield(L, -2, name);
}

int uqL_no_memory(lua_State *L) { return luaL_error(L, "not enough memory"); }

int uqL_push_nil_message(lua_State *L) {
  lua_pushnil(L);
  lua_insert(L, -2);
  return 2;
}

int uqL_error_push_failure(lua_State *L) {
  lua_pushnil(L);
  lua_insert(L, -2);
  lua_getfield(L, -1, "message");
  lua_insert(L, -2);
  return 3;
}

const char *uqL_push_redacted(lua_State *L, const char *text, size_t len,
                              size_t max, const struct uq_secrets *secrets,
                              bool line) {
  char out[UQ_SHOWN_MAX];
  if (max > sizeof out)
    max = sizeof out;
  size_t written = uq_redact(text, len, secrets, line, out, max);
  if (written == UQ_REDACT_NOMEM)
    uqL_no_memory(L);
  lua_pushlstring(L, out, written);
  return lua_tostring(L, -1);
}

const char *uqL_push_shown(lua_State *L, const char *text, size_t len,
                           size_t max) {
  static const struct uq_secrets none = {NULL, NULL};
  return uqL_push_redacted(L, text, len, max, &none, true);
}
