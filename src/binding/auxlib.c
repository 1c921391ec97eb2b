/*
** auxlib.c - see auxlib.h.
** SPDX-License-Identifier: MIT
*/
#include "binding/auxlib.h"

#include <math.h>
#include <string.h>

#include "binding/compat.h"
#include "binding/error.h"
#include "engine/number/number.h"

#define MAX_KEY 40 /* bytes of a key in a message */

void uqL_class(lua_State *L, const char *name, const luaL_Reg *metamethods,
               const luaL_Reg *methods) {
  luaL_newmetatable(L, name);
  uqL_setfuncs(L, metamethods);
  lua_newtable(L);
  for (; methods->name != NULL; methods++) {
    lua_pushstring(L, methods->name); /* for uqL_self */
    lua_pushcclosure(L, methods->func, 1);
    lua_setfield(L, -2, methods->name);
  }
  lua_setfield(L, -2, "__index");
  lua_pushstring(L, name); /* 5.1, 5.2 and LuaJIT do not set it */
  lua_setfield(L, -2, "__name");
  lua_pop(L, 1);
}

void uqL_require(lua_State *L, const char *module) {
  lua_getglobal(L, "require");
  lua_pushstring(L, module);
  lua_call(L, 1, 1);
}

void *uqL_self(lua_State *L, const char *name, const char *example) {
  void *self = lua_touserdata(L, 1);
  if (self != NULL && lua_getmetatable(L, 1)) {
    luaL_getmetatable(L, name);
    bool is = lua_rawequal(L, -1, -2) != 0;
    lua_pop(L, 2);
    if (is)
      return self;
  }
  const char *method = lua_tostring(L, lua_upvalueindex(1));
  if (method == NULL) /* a metamethod */
    return luaL_checkudata(L, 1, name);
  luaL_error(L,
             "calling '%s' on bad self (%s expected, got %s: use %s:%s(...), "
             "not %s.%s(...))",
             method, name, luaL_typename(L, 1), example, method, example,
             method);
  return NULL;
}

/* True if the table at the top is the module's own. Pops it. */
static bool is_module(lua_State *L) {
  lua_pushliteral(L, "_NAME");
  lua_rawget(L, -2);
  bool is = lua_type(L, -1) == LUA_TSTRING &&
            strcmp(lua_tostring(L, -1), "uqpay") == 0;
  lua_pop(L, 2);
  return is;
}

void uqL_check_dot(lua_State *L, const char *function, const char *arguments) {
  if (!lua_istable(L, 1))
    return;
  lua_pushvalue(L, 1);
  bool is = is_module(L);
  if (!is && luaL_getmetafield(L, 1, "__index")) { /* of an event loop */
    if (lua_istable(L, -1))
      is = is_module(L);
    else
      lua_pop(L, 1);
  }
  if (is)
    luaL_error(L, "bad call of '%s' (use uqpay.%s%s, not uqpay:%s%s)", function,
               function, arguments, function, arguments);
}

int uqL_argument_error(lua_State *L, int number, const char *function,
                       const char *message) {
  return luaL_error(L, "bad argument #%d to '%s' (%s)", number, function,
                    message);
}

void uqL_argument_table(lua_State *L, int idx, int number,
                        const char *function) {
  if (lua_istable(L, idx))
    return;
  lua_pushfstring(L, "table expected, got %s", luaL_typename(L, idx));
  uqL_argument_error(L, number, function, lua_tostring(L, -1));
}

/* Pushes what is wrong with a list that has the key at the top. */
static void push_key_error(lua_State *L, const char *name) {
  size_t len;
  if (lua_type(L, -1) == LUA_TSTRING) {
    const char *key = lua_tolstring(L, -1, &len);
    uqL_push_shown(L, key, len, MAX_KEY);
    lua_pushfstring(L, "%s: a list expected, but it has the key '%s'", name,
                    lua_tostring(L, -1));
  } else if (lua_type(L, -1) == LUA_TNUMBER) {
    char key[UQ_NUMBER_TEXT];
    uq_number_text((double)lua_tonumber(L, -1), 15, key);
    lua_pushfstring(L, "%s: a list from 1 on expected, but it has the key %s",
                    name, key);
  } else {
    lua_pushfstring(L, "%s: a list expected, but it has a %s as a key", name,
                    luaL_typename(L, -1));
  }
}

/* Pushes what is wrong with a list that has holes. */
static void push_hole_error(lua_State *L, int idx, const char *name) {
  int hole = 1;
  for (; lua_rawgeti(L, idx, hole), !lua_isnil(L, -1); hole++)
    lua_pop(L, 1);
  lua_pushfstring(L, "%s[%d] is nil: a list without holes expected", name,
                  hole);
}

/* The length of the list at idx; -1: pushes what is wrong with it. */
static int list_length(lua_State *L, int idx, const char *name) {
  double last = 0;
  int count = 0;
  if (luaL_getmetafield(L, idx, "__index")) {
    lua_pushfstring(L, "%s: a list without __index expected", name);
    return -1;
  }
  for (lua_pushnil(L); lua_next(L, idx) != 0; count++) {
    lua_pop(L, 1);
    double key =
        lua_type(L, -1) == LUA_TNUMBER ? (double)lua_tonumber(L, -1) : 0;
    if (!(key >= 1) || floor(key) != key) {
      push_key_error(L, name);
      return -1;
    }
    last = key > last ? key : last;
  }
  if (last == count)
    return count;
  push_hole_error(L, idx, name);
  return -1;
}

int uqL_check_list(lua_State *L, int idx, const char *function,
                   const char *name) {
  int length = list_length(L, idx, name);
  if (length < 0)
    uqL_argument_error(L, 1, function, lua_tostring(L, -1));
  return length;
}

void uqL_set_count(lua_State *L, const char *name, double value) {
  uqL_pushcount(L, value);
  lua_setfield(L, -2, name);
}

void uqL_client_user_value(lua_State *L, int idx) {
  uqL_get_user_value(L, idx);
  lua_getfield(L, -1, "client");
  uqL_get_user_value(L, -1);
  lua_replace(L, -3);
  lua_pop(L, 1);
}
