/*
** client_clock.c - see client_clock.h.
** SPDX-License-Identifier: MIT
*/
#include "binding/client_clock.h"

#include <math.h>

#include "binding/auxlib.h"
#include "binding/client.h"
#include "binding/compat.h"
#include "engine/base/clock.h"

double uq_client_clock(const struct uq_client *c) {
  return c->clock.given ? c->clock.clock : uq_clock();
}

double uq_client_unix(const struct uq_client *c) {
  return c->clock.given ? c->clock.now : uq_clock_unix();
}

/* Calls clock.now. */
static double read_clock(lua_State *L, int idx) {
  int top = lua_gettop(L);
  uqL_client_user_value(L, idx);
  lua_getfield(L, -1, "clock.now");
  lua_call(L, 0, 1);
  double now = (double)lua_tonumber(L, -1);
  if (lua_type(L, -1) != LUA_TNUMBER || !(fabs(now) < HUGE_VAL))
    luaL_error(L, "clock.now: seconds expected, got %s",
               lua_type(L, -1) == LUA_TNUMBER ? "no finite number"
                                              : luaL_typename(L, -1));
  lua_settop(L, top);
  return now;
}

void uqL_client_clock_start(lua_State *L, struct uq_client *c, int idx) {
  if (!c->clock.given)
    return;
  c->clock.now = read_clock(L, idx);
  c->clock.clock = 1; /* 0 is no time in a call */
}

void uqL_client_clock_read(lua_State *L, struct uq_client *c, int idx) {
  if (!c->clock.given)
    return;
  double passed = read_clock(L, idx) - c->clock.now;
  if (passed <= 0)
    return;
  c->clock.now += passed;
  c->clock.clock += passed;
}

/* read_protected(client or call) */
static int read_protected(lua_State *L) {
  uqL_client_user_value(L, 1);
  lua_getfield(L, -1, "client");
  uqL_client_clock_read(L, lua_touserdata(L, -1), 1);
  return 0;
}

int uqL_client_clock_try(lua_State *L, const struct uq_client *c, int idx) {
  if (!c->clock.given)
    return LUA_OK;
  lua_pushcfunction(L, read_protected);
  lua_pushvalue(L, idx);
  return lua_pcall(L, 1, 0, 0);
}

void uqL_client_clock_sleep(lua_State *L, struct uq_client *c, int idx,
                            double until) {
  double seconds = until - c->clock.clock;
  double end = c->clock.now + seconds;
  uqL_client_user_value(L, idx);
  lua_getfield(L, -1, "clock.sleep");
  lua_pushnumber(L, seconds);
  lua_call(L, 1, 0);
  lua_pop(L, 1);
  uqL_client_clock_read(L, c, idx);
  c->clock.now = fmax(c->clock.now, end);
  c->clock.clock = fmax(c->clock.clock, until);
}
