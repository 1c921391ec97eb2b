/*
** batch.c - see batch.h. The source of queries, the iterators, the class.
** SPDX-License-Identifier: MIT
*/
#include "binding/batch.h"

#include <math.h>
#include <stdbool.h>

#include "binding/auxlib.h"
#include "binding/batch_calls.h"
#include "binding/batch_result.h"
#include "binding/call_options.h"
#include "binding/calls.h"
#include "binding/client.h"
#include "binding/client_clock.h"
#include "binding/compat.h"
#include "binding/login.h"
#include "binding/options.h"
#include "engine/http/transport.h"
#include "engine/policy/run_queue.h"

#define BATCH "uqpay.batch" /* metatable */

#define MAX_CALLS_AHEAD 64 /* that a new batch's user value has room for */

/* The batch is at 1, its user value at 2, in all functions but the class's. */
#define UV 2

/* ------------------------------------------------------------------------ */
/* the source of queries                                                     */
/* ------------------------------------------------------------------------ */

/* True if another call may be begun. Finished calls count until their results
** are taken, except for the next one. */
static bool has_room(const struct uq_batch *b) {
  return b->held == NULL &&
         b->busy - !uq_batch_is_empty(&b->finished) < b->options.concurrency;
}

/* Pops the next query; nil ends the source, and so does a batch that was closed
** while the source yielded. */
static void set_query(lua_State *L, struct uq_batch *b) {
  b->has_query = !lua_isnil(L, -1) && !b->stopped;
  b->source_over = !b->has_query;
  lua_rawseti(L, UV, UQ_BATCH_QUERY);
}

static void take_from_list(lua_State *L, struct uq_batch *b) {
  lua_rawgeti(L, UV, UQ_BATCH_SOURCE);
  lua_rawgeti(L, -1, ++b->taken);
  b->source_over = lua_isnil(L, -1);
  if (b->source_over && b->taken <= b->total) {
    lua_pushfstring(L, "queries[%d] is nil: the list was changed", b->taken);
    lua_error(L);
  }
  set_query(L, b);
  lua_pop(L, 1);
}

/* Pops what a source function has returned: a query, or nil and maybe a
** failure, which is raised: the queries are not complete. */
static void take_returned(lua_State *L, struct uq_batch *b) {
  if (!lua_toboolean(L, -2) && !lua_isnil(L, -1))
    lua_error(L);
  lua_pop(L, 1);
  set_query(L, b);
}

/* Calls the source function, which cannot yield. If it raises, it is not called
** again. */
static void call_source(lua_State *L, struct uq_batch *b) {
  b->source_over = true;
  lua_rawgeti(L, UV, UQ_BATCH_SOURCE);
  lua_call(L, 0, 2);
  take_returned(L, b);
}

/* Begins calls while there is room. True: a query of the source function is
** needed. */
static bool begin_calls(lua_State *L, struct uq_batch *b) {
  while (has_room(b) && (b->has_query || !b->source_over)) {
    if (!b->has_query && !b->is_list)
      return true;
    if (!b->has_query)
      take_from_list(L, b);
    if (!b->has_query)
      break;
    if (b->client->transport == NULL) {
      b->has_query = false;
      b->source_over = b->closed = true;
      break;
    }
    uqL_batch_begin_next(L, b, UV);
  }
  return false;
}

/* ------------------------------------------------------------------------ */
/* iterators                                                                 */
/* ------------------------------------------------------------------------ */

/* Pushes the user value of the batch at 1, the only value. Raises within a hook
** of one of its calls. */
static struct uq_batch *begin_use(lua_State *L) {
  struct uq_batch *b = lua_touserdata(L, 1);
  if (b->stepped != NULL && b->stepped->stepped) {
    lua_pushliteral(L, "a hook must not use the iterator that it runs for");
    lua_error(L);
  }
  uqL_get_user_value(L, 1);
  lua_rawgeti(L, UV, UQ_BATCH_CLIENT);
  uqL_client_clock_read(L, b->client, UV + 1);
  lua_pop(L, 1);
  return b;
}

/* True if no result is to come, or only that of a call which is being begun. */
static bool is_over(lua_State *L, const struct uq_batch *b) {
  if (!uq_batch_is_empty(&b->finished) || !uq_batch_is_empty(&b->flight))
    return false;
  if (b->closed) {
    lua_pushliteral(L, UQ_CLOSED);
    lua_error(L);
  }
  return true;
}

/* Waits until a call of the batch, whose user value is at the top, may be due.
** A debug hook or a finalizer may use the iterator in between. */
static void wait_for_calls(lua_State *L, const struct uq_batch *b) {
  struct uq_client *c = b->client;
  lua_rawgeti(L, -1, UQ_BATCH_CLIENT);
  int client = lua_gettop(L);
  while (!b->group.task.due && !b->interrupted &&
         uq_batch_is_empty(&b->finished) && !uq_batch_is_empty(&b->flight)) {
    if (c->transport == NULL || uq_transport_forked(c->transport))
      break;
    if (!uqL_calls_step(L, c, client, HUGE_VAL)) {
      uq_calls_publish(c, true);
      lua_error(L);
    }
  }
  lua_settop(L, client - 1);
}

/* The iterator where nothing yields; its upvalue is the batch. */
static int batch_iterate(lua_State *L) {
  int results = 0;
  lua_settop(L, 0);
  lua_pushvalue(L, lua_upvalueindex(1));
  struct uq_batch *b = begin_use(L);
  do {
    while (begin_calls(L, b))
      call_source(L, b);
    if (is_over(L, b)) {
      lua_pushnil(L);
      return 1;
    }
    if (uq_batch_is_empty(&b->finished)) {
      wait_for_calls(L, b);
      uqL_batch_step(L, b, UV);
    } else {
      results = uqL_batch_push_result(L, b, UV);
    }
    if (results == 0)
      lua_settop(L, UV);
  } while (results == 0);
  uq_calls_publish(b->client, true);
  return results;
}

int uqL_batch_next(lua_State *L) {
  luaL_checkudata(L, 1, BATCH);
  lua_settop(L, 1);
  struct uq_batch *b = begin_use(L);
  uqL_batch_step(L, b, UV);
  if (begin_calls(L, b)) {
    b->source_over = true; /* until batch_query */
    lua_pushliteral(L, "query");
    return 1;
  }
  if (is_over(L, b)) {
    lua_pushliteral(L, "end");
    return 1;
  }
  uq_calls_publish(b->client, true);
  lua_pushliteral(L, "wait");
  lua_pushliteral(L, "result"); /* first: a finalizer may take the result */
  if (!uq_batch_is_empty(&b->finished))
    return 1 + uqL_batch_take_result(L, b, UV);
  lua_pop(L, 1);
  return 1;
}

int uqL_batch_query(lua_State *L) {
  struct uq_batch *b = luaL_checkudata(L, 1, BATCH);
  lua_settop(L, 3);
  uqL_get_user_value(L, 1);
  lua_insert(L, UV);
  take_returned(L, b);
  return 0;
}

int uqL_batch_wait(lua_State *L) {
  const struct uq_batch *b = luaL_checkudata(L, 1, BATCH);
  lua_settop(L, 1);
  uqL_get_user_value(L, 1);
  wait_for_calls(L, b);
  return 0;
}

int uqL_batch_hook_failed(lua_State *L) {
  const struct uq_batch *b = luaL_checkudata(L, 1, BATCH);
  b->client->stats.hook_errors++;
  return 0;
}

int uqL_batch_info(lua_State *L) {
  uqL_batch_push_info(L, luaL_checkudata(L, 1, BATCH));
  return 1;
}

/* ------------------------------------------------------------------------ */
/* the class                                                                 */
/* ------------------------------------------------------------------------ */

/* Calls of the batch were canceled. */
static void tell_client(lua_State *L, const struct uq_batch *b) {
  if (b->client == NULL)
    return;
  uq_calls_publish(b->client, true);
  lua_settop(L, 1);
  uqL_get_user_value(L, 1);
  lua_rawgeti(L, UV, UQ_BATCH_CLIENT);
  uqL_get_user_value(L, UV + 1);
  uqL_login_abandon_if_unwanted(L, b->client, UV + 2);
}

/* batch:cancel(), as that of a call: for those who wait for either. */
static int batch_cancel(lua_State *L) {
  struct uq_batch *b = luaL_checkudata(L, 1, BATCH);
  uq_batch_cancel(b);
  tell_client(L, b);
  return 0;
}

int uqL_batch_close(lua_State *L) {
  struct uq_batch *b = luaL_checkudata(L, 1, BATCH);
  uq_batch_stop(b);
  tell_client(L, b);
  return 0;
}

static int batch_gc(lua_State *L) {
  struct uq_batch *b = luaL_checkudata(L, 1, BATCH);
  uq_batch_stop(b);
  if (b->client == NULL)
    return 0;
  uq_run_queue_leave(&b->client->queue, &b->group.task);
  uq_calls_publish(b->client, true);
  return 0;
}

void uqL_batch_open(lua_State *L) {
  static const luaL_Reg metamethods[] = {
      {"__gc", batch_gc}, {"__close", uqL_batch_close}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"cancel", batch_cancel}, {NULL, NULL}};
  uqL_class(L, BATCH, metamethods, methods);
}

/* Pushes the user value of a new batch; at 1 to 4: client, queries, options,
** and why all queries are refused, or nil. */
static void push_user_value(lua_State *L, struct uq_batch *b) {
  int calls = b->options.concurrency < MAX_CALLS_AHEAD ? b->options.concurrency
                                                       : MAX_CALLS_AHEAD;
  lua_createtable(L, UQ_BATCH_VALUES + 2 * calls, 0);
  lua_pushvalue(L, 1);
  lua_rawseti(L, -2, UQ_BATCH_CLIENT);
  lua_pushvalue(L, 2);
  lua_rawseti(L, -2, UQ_BATCH_SOURCE);
  lua_pushvalue(L, 4);
  lua_rawseti(L, -2, UQ_BATCH_REFUSED);
  if (lua_istable(L, 3)) {
    lua_pushliteral(L, "progress");
    lua_rawget(L, 3);
    b->reports = !lua_isnil(L, -1);
    lua_rawseti(L, -2, UQ_BATCH_PROGRESS);
  }
}

/* Pushes a batch; at 1 to 4 as above. total: of a list, else -1. */
static struct uq_batch *push_batch(lua_State *L, const struct uq_options *o,
                                   int total) {
  struct uq_batch *b = lua_newuserdata(L, sizeof *b);
  uq_batch_init(b, o);
  luaL_getmetatable(L, BATCH);
  lua_setmetatable(L, -2);
  push_user_value(L, b);
  uqL_set_user_value(L, -2);
  b->client = lua_touserdata(L, 1);
  b->group.task.id = ++b->client->ids;
  b->is_list = total >= 0;
  b->total = total;
  b->started = uq_client_clock(b->client);
  return b;
}

/* Pushes the iterator of the batch at the top, that of batch.lua under an event
** loop, or if it calls functions of the user; and the value that ends the
** batch. */
static void push_iterator(lua_State *L, const struct uq_batch *b) {
  int batch = lua_gettop(L);
  uqL_get_user_value(L, batch);
  lua_rawgeti(L, -1, UQ_BATCH_PROGRESS);
  lua_pushvalue(L, batch);
  lua_pushcclosure(L, batch_iterate, 1);
  uqL_get_user_value(L, 1);
  lua_getfield(L, -1, "hub");
  if (lua_isnil(L, -1) && b->is_list && !b->reports) {
    lua_pushvalue(L, batch + 3);
    lua_pushvalue(L, batch);
    return;
  }
  uqL_require(L, "uqpay.batch");
  lua_insert(L, -2);
  lua_pushvalue(L, batch);
  uqL_pushcount(L, b->group.task.id);
  if (b->is_list)
    lua_pushnil(L);
  else
    lua_pushvalue(L, 2);
  lua_pushvalue(L, batch + 2);
  lua_pushvalue(L, batch + 3);
  lua_call(L, 6, 2);
}

/* The length of the list of queries at 2; -1: it is a source function. */
static int check_queries(lua_State *L) {
  if (lua_isfunction(L, 2))
    return -1;
  if (luaL_getmetafield(L, 2, "__call") != 0) {
    lua_pop(L, 1);
    return -1;
  }
  if (!lua_istable(L, 2)) {
    lua_pushfstring(L, "list or iterator function expected, got %s",
                    luaL_typename(L, 2));
    uqL_argument_error(L, 1, "batch", lua_tostring(L, -1));
  }
  return uqL_check_list(L, 2, "batch", "queries");
}

int uqL_batch(lua_State *L) {
  const struct uq_client *c = lua_touserdata(L, 1);
  struct uq_options o = c->options;
  lua_settop(L, 3);
  int total = check_queries(L);
  if (uqL_batch_options(L, 3, &o))
    lua_pushnil(L);
  lua_insert(L, 4);
  lua_settop(L, 4);
  push_iterator(L, push_batch(L, &o, total));
  lua_pushnil(L);
  lua_insert(L, -2);
  lua_pushnil(L);
  lua_insert(L, -2);
  return 4;
}
