/*
** option_reading.c - see option_reading.h.
** SPDX-License-Identifier: MIT
*/
#include "binding/option_reading.h"

#include <string.h>

#include "binding/compat.h"
#include "binding/error.h"
#include "engine/http/url.h"

int uqL_option_error(lua_State *L, const struct uq_reading *r, const char *name,
                     const char *expected) {
  if (expected == uq_no_memory) /* the value may be good */
    return uqL_no_memory(L);
  return luaL_error(L, "bad option '%s' to '%s' (%s)", name, r->method,
                    expected);
}

int uqL_option_type_error(lua_State *L, const struct uq_reading *r,
                          const char *name, const char *expected) {
  lua_pushfstring(L, "%s expected, got %s", expected, luaL_typename(L, -1));
  return uqL_option_error(L, r, name, lua_tostring(L, -1));
}

int uqL_option_text_error(lua_State *L, const struct uq_reading *r,
                          const char *name, const char *expected) {
  size_t len;
  lua_tolstring(L, -1, &len);
  if (len > 0)
    return uqL_option_error(L, r, name, expected);
  lua_pushfstring(L, "%s, got an empty string", expected);
  return uqL_option_error(L, r, name, lua_tostring(L, -1));
}

void uqL_option_check_plain(lua_State *L, const struct uq_reading *r, int idx) {
  if (luaL_getmetafield(L, idx, "__index") != 0)
    luaL_error(L,
               "bad option table to '%s' (a table without __index expected: "
               "inherited options would not be seen)",
               r->method);
}

bool uqL_option_equals(lua_State *L, int idx, const char *text) {
  size_t len;
  return lua_type(L, idx) == LUA_TSTRING &&
         strcmp(lua_tolstring(L, idx, &len), text) == 0 && strlen(text) == len;
}
