/*
** state.h - lua_newstate for every Lua: that of 5.5 takes a seed, too.
** SPDX-License-Identifier: MIT
*/
#ifndef TORTURE_STATE_H
#define TORTURE_STATE_H

#include <lua.h>

static inline lua_State *new_state(lua_Alloc allocate) {
#if LUA_VERSION_NUM >= 505
  return lua_newstate(allocate, NULL, 0);
#else
  return lua_newstate(allocate, NULL);
#endif
}

#endif
