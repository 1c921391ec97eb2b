/*
** compat.h - what Lua 5.1 to 5.5 and LuaJIT name differently, for the few
** functions that we use. Defines no name of Lua's own but constants that are
** missing.
**
** What is built for Lua 5.1 runs in LuaJIT, and the other way round. So with
** LUA_VERSION_NUM 501 the module calls only functions of Lua 5.1 directly, and
** uses no luaL_Buffer: headers and interpreter may differ about its size.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_COMPAT_H
#define UQ_COMPAT_H

#include <lauxlib.h>
#include <lua.h>

#pragma GCC visibility push(hidden)

/* True if the running function can yield, and always in Lua 5.1 and 5.2, which
** cannot tell. Lua 5.1 and LuaJIT load the same file, so the function is looked
** up at run time; an interpreter that hides its symbols counts as Lua 5.1. */
int uqL_yieldable(lua_State *L);

#pragma GCC visibility pop

#ifndef LUA_OK
#define LUA_OK 0
#endif

/* The Lua table that lives and dies with a userdata. Pops it. */
static inline void uqL_set_user_value(lua_State *L, int udata) {
#if LUA_VERSION_NUM >= 504
  lua_setiuservalue(L, udata, 1);
#elif LUA_VERSION_NUM >= 502
  lua_setuservalue(L, udata);
#else
  lua_setfenv(L, udata);
#endif
}

/* Pushes it. */
static inline void uqL_get_user_value(lua_State *L, int udata) {
#if LUA_VERSION_NUM >= 504
  lua_getiuservalue(L, udata, 1);
#elif LUA_VERSION_NUM >= 502
  lua_getuservalue(L, udata);
#else
  lua_getfenv(L, udata);
#endif
}

static inline void uqL_setfuncs(lua_State *L, const luaL_Reg *functions) {
  for (; functions->name != NULL; functions++) {
    lua_pushcfunction(L, functions->func);
    lua_setfield(L, -2, functions->name);
  }
}

/* Pushes the integer, as an integer where this Lua has them and it fits. False,
** and nothing pushed: it does not fit. */
static inline int uqL_pushint64(lua_State *L, long long value) {
#if LUA_VERSION_NUM >= 503
  if ((long long)(lua_Integer)value != value)
    return 0;
  lua_pushinteger(L, (lua_Integer)value);
#else
  if (value > (1LL << 53) || value < -(1LL << 53))
    return 0;
  lua_pushnumber(L, (lua_Number)value);
#endif
  return 1;
}

/* Pushes a count: an integer where this Lua has them. */
static inline void uqL_pushcount(lua_State *L, double count) {
  if (!uqL_pushint64(L, (long long)count))
    lua_pushnumber(L, (lua_Number)count);
}

#endif
