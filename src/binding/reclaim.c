/*
** reclaim.c - descriptors that only garbage holds: clients, calls and files
** that a program has left to the collector, which does not count descriptors.
** SPDX-License-Identifier: MIT
*/
#define _GNU_SOURCE /* sigset_t, in process.h */
#include "binding/reclaim.h"

#include "binding/client.h"
#include "binding/compat.h"
#include "engine/base/clock.h"
#include "engine/http/process.h"

#define TRIES 16  /* an error in a finalizer ends a collection early */
#define PAUSE 1.0 /* seconds after a collection that was of no use */

static int collect(lua_State *L) {
  lua_gc(L, LUA_GCCOLLECT, 0);
  return 0;
}

bool uqL_reclaim(lua_State *L, struct uq_client *c) {
  if (uq_process_lack() == 0 || (c != NULL && uq_clock() < c->reclaim_pause))
    return false;
  bool done = false;
  for (int i = 0; i < TRIES && !done; i++) {
    lua_pushcfunction(L, collect);
    done = lua_pcall(L, 0, 0, 0) == LUA_OK;
    if (!done)
      lua_pop(L, 1);
  }
  if (c != NULL && uq_process_lack() != 0)
    c->reclaim_pause = uq_clock() + PAUSE;
  return true;
}
