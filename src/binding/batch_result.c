/*
** batch_result.c - see batch_result.h.
** SPDX-License-Identifier: MIT
*/
#include "binding/batch_result.h"

#include <stdbool.h>

#include "binding/auxlib.h"
#include "binding/batch_calls.h"
#include "binding/calls.h"
#include "binding/client.h"
#include "binding/client_clock.h"
#include "binding/compat.h"

void uqL_batch_push_info(lua_State *L, const struct uq_batch *b) {
  double elapsed = uq_client_clock(b->client) - b->started;
  double rate = elapsed > 0 ? b->done / elapsed : 0; /* a second */
  lua_newtable(L);
  uqL_set_count(L, "done", b->done);
  uqL_set_count(L, "failed", b->failed);
  lua_pushnumber(L, rate);
  lua_setfield(L, -2, "rate");
  if (b->is_list) {
    uqL_set_count(L, "total", b->total);
    if (rate > 0) {
      lua_pushnumber(L,
                     uq_client_unix(b->client) + (b->total - b->done) / rate);
      lua_setfield(L, -2, "ends");
    }
  }
}

/* report_progress(batch, user value): calls `progress`. */
static int report_progress(lua_State *L) {
  const struct uq_batch *b = lua_touserdata(L, 1);
  lua_rawgeti(L, 2, UQ_BATCH_PROGRESS);
  uqL_batch_push_info(L, b);
  lua_call(L, 1, 0);
  return 0;
}

int uqL_batch_take_result(lua_State *L, struct uq_batch *b, int uv) {
  struct uq_call *call = uq_batch_first(&b->finished);
  int results = call->results;
  int query = uq_batch_query_index(call->batch.number);
  lua_rawgeti(L, uv, query);
  uqL_batch_push_call(L, uv, call);
  uqL_get_user_value(L, -1);
  lua_replace(L, -2);
  for (int i = 1; i <= results; i++) {
    lua_rawgeti(L, -i, i);
    lua_pushboolean(L, 0);
    lua_rawseti(L, -2 - i, i);
  }
  lua_remove(L, -1 - results);
  lua_pushboolean(L, 0);
  lua_rawseti(L, uv, query);
  call->results = 0;
  uq_batch_recycle(b, call);
  b->done++;
  b->failed += results > 1;
  return 1 + results;
}

int uqL_batch_push_result(lua_State *L, struct uq_batch *b, int uv) {
  if (!b->reports)
    return uqL_batch_take_result(L, b, uv);
  /* 5.1 allocates for a function: so before the result is taken */
  lua_pushcfunction(L, report_progress);
  int report = lua_gettop(L);
  if (uq_batch_is_empty(&b->finished)) /* a finalizer has taken it */
    return 0;
  int results = uqL_batch_take_result(L, b, uv);
  lua_pushvalue(L, report);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, uv);
  if (lua_pcall(L, 2, 0, 0) != LUA_OK) {
    lua_pop(L, 1);
    b->client->stats.hook_errors++;
  }
  return results;
}
