/*
** reclaim.c - see reclaim.h. Lua's collector does not count descriptors, so it
** may not run before they are used up.
** SPDX-License-Identifier: MIT
*/
#define _GNU_SOURCE /* sigset_t, in process.h */
#include "binding/reclaim.h"

#include "binding/client.h"
#include "binding/compat.h"
#include "engine/base/clock.h"
#include "engine/http/process.h"

#define TRIES 16  /* an error in a finalizer ends a collection early */
#define PAUSE 1.0 /* seconds between collections that freed no descriptor */

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
