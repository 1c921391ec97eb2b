/*
** internal.c - what the Lua files of uqpay share with the C module, and nobody
** else: require "uqpay.internal" finds it in the same library.
** SPDX-License-Identifier: MIT
*/
#include "clock.h"
#include "uqpay.h"

/* clock() -> seconds on a clock that never steps. */
static int internal_clock(lua_State *L) {
  lua_pushnumber(L, uq_clock());
  return 1;
}

/* failure(message) -> the error table of a call that could not be made. */
static int internal_failure(lua_State *L) {
  luaL_checkstring(L, 1);
  lua_settop(L, 1);
  uqL_error_new(L, UQ_INVALID_REQUEST);
  lua_pushinteger(L, 0);
  lua_setfield(L, -2, "attempts");
  lua_pushnumber(L, 0);
  lua_setfield(L, -2, "elapsed");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "retryable");
  return 1;
}

/* check(client, method, options): raises what that method would. */
static int internal_check(lua_State *L) {
  struct uq_client *c = luaL_checkudata(L, 1, UQ_CLIENT);
  const char *method = luaL_checkstring(L, 2);
  struct uq_options o = c->options;
  lua_settop(L, 3);
  lua_pushliteral(L, "USD");
  lua_insert(L, 3);
  uqL_options_call(L, 3, UQ_ENDPOINT_BALANCE, method, &o);
  return 0;
}

/* closed(client) -> is it? */
static int internal_closed(lua_State *L) {
  struct uq_client *c = luaL_checkudata(L, 1, UQ_CLIENT);
  lua_pushboolean(L, c->transport == NULL);
  return 1;
}

/* peer(client) -> the table that lives and dies with the client. */
static int internal_peer(lua_State *L) {
  luaL_checkudata(L, 1, UQ_CLIENT);
  uqL_getpeer(L, 1);
  return 1;
}

/* methods() -> the names of the client's methods that make a call. */
static int internal_methods(lua_State *L) {
  lua_createtable(L, UQ_ENDPOINT_COUNT, 0);
  for (int i = 0; i < UQ_ENDPOINT_COUNT; i++) {
    lua_pushstring(L, uq_endpoints[i].name);
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

/* misfit(message, changed, attempts, elapsed) -> the error table of a list
** whose pages do not fit together, maybe because it changed meanwhile. */
static int internal_misfit(lua_State *L) {
  luaL_checkstring(L, 1);
  bool changed = lua_toboolean(L, 2) != 0;
  lua_settop(L, 4);
  lua_pushvalue(L, 1);
  uqL_error_new(L, changed ? UQ_CONFLICT : UQ_SCHEMA);
  lua_pushvalue(L, 3);
  lua_setfield(L, -2, "attempts");
  lua_pushvalue(L, 4);
  lua_setfield(L, -2, "elapsed");
  lua_pushboolean(L, changed);
  lua_setfield(L, -2, "retryable");
  return 1;
}

/* iterators() -> the names of those that give all items of a list. */
static int internal_iterators(lua_State *L) {
  int n = 0;
  lua_newtable(L);
  for (int i = 0; i < UQ_ENDPOINT_COUNT; i++) {
    if (uq_endpoints[i].each == NULL)
      continue;
    lua_pushstring(L, uq_endpoints[i].each);
    lua_rawseti(L, -2, ++n);
  }
  return 1;
}

static const luaL_Reg functions[] = {{"clock", internal_clock},
                                     {"failure", internal_failure},
                                     {"check", internal_check},
                                     {"closed", internal_closed},
                                     {"peer", internal_peer},
                                     {"methods", internal_methods},
                                     {"iterators", internal_iterators},
                                     {"misfit", internal_misfit},
                                     {NULL, NULL}};

UQ_EXPORT int luaopen_uqpay_internal(lua_State *L);

UQ_EXPORT int luaopen_uqpay_internal(lua_State *L) {
  lua_newtable(L);
  uqL_setfuncs(L, functions);
  return 1;
}
