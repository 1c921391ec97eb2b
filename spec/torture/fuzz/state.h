/*
** state.h - a Lua state with the module in it, for the targets that go through
** Lua: one for all executions.
** SPDX-License-Identifier: MIT
*/
#ifndef TORTURE_STATE_H
#define TORTURE_STATE_H

#include "fuzz.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

int luaopen_uqpay(lua_State *L);

static inline lua_State *fuzz_state(void) {
  static lua_State *L;
  if (L != NULL)
    return L;
  L = luaL_newstate();
  luaL_openlibs(L);
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "preload");
  lua_pushcfunction(L, luaopen_uqpay);
  lua_setfield(L, -2, "uqpay");
  lua_pop(L, 2);
  if (luaL_dostring(L, "uqpay = require 'uqpay'") != 0) {
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
    abort();
  }
  return L;
}

#endif
