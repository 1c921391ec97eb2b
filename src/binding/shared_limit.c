/*
** shared_limit.c - see shared_limit.h.
** SPDX-License-Identifier: MIT
*/
#include "binding/shared_limit.h"

#include "binding/auxlib.h"
#include "binding/client.h"
#include "binding/compat.h"
#include "binding/options.h"

/* The functions, in the client's user value. */
#define TAKE "shared_limit.take"
#define ANNOUNCE "shared_limit.announce"
#define PAUSE "shared_limit.pause"

void uqL_shared_limit_keep(lua_State *L, struct uq_client *c, int idx) {
  int take = lua_gettop(L) - 2;
  uqL_get_user_value(L, idx);
  lua_insert(L, take); /* below the functions */
  lua_setfield(L, take, PAUSE);
  lua_setfield(L, take, ANNOUNCE);
  lua_setfield(L, take, TAKE);
  lua_pop(L, 1);
  c->shared.slots = c->options.rate_limit > 0;
  c->shared.pauses = true;
}

/* Calls a function in the client's user value with a number. Pushes so many
** results. False: it has raised, or the last result is not a number. */
static bool call_shared(lua_State *L, struct uq_client *c, int idx,
                        const char *name, double number, int results) {
  uqL_client_user_value(L, idx);
  lua_getfield(L, -1, name);
  lua_pushnumber(L, number);
  bool good = lua_pcall(L, 1, results, 0) == LUA_OK &&
              (results == 0 || lua_isnumber(L, -1));
  if (!good)
    c->stats.hook_errors++;
  return good;
}

bool uqL_shared_limit_take(lua_State *L, struct uq_client *c, int idx,
                           double left, double *wait) {
  int top = lua_gettop(L);
  bool good = call_shared(L, c, idx, TAKE, left, 2);
  bool in_time = !good || lua_toboolean(L, -2);
  *wait = good ? (double)lua_tonumber(L, -1) : 0;
  lua_settop(L, top);
  return in_time;
}

double uqL_shared_limit_pause(lua_State *L, struct uq_client *c, int idx) {
  int top = lua_gettop(L);
  bool good = call_shared(L, c, idx, PAUSE, 0, 1);
  double left = good ? (double)lua_tonumber(L, -1) : 0;
  lua_settop(L, top);
  return left;
}

void uqL_shared_limit_announce(lua_State *L, struct uq_client *c, int idx,
                               double pause) {
  int top = lua_gettop(L);
  (void)call_shared(L, c, idx, ANNOUNCE, pause, 0);
  lua_settop(L, top);
}
