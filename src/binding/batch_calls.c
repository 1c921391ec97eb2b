/*
** batch_calls.c - see batch_calls.h.
** SPDX-License-Identifier: MIT
*/
#include "binding/batch_calls.h"

#include <stddef.h>
#include <string.h>

#include "binding/call.h"
#include "binding/call_options.h"
#include "binding/client.h"
#include "engine/api/endpoint.h"
#include "engine/http/transport.h"

/* ------------------------------------------------------------------------ */
/* lists of calls                                                            */
/* ------------------------------------------------------------------------ */

static void init_list(struct uq_link *list) { list->next = list->prev = list; }

bool uq_batch_is_empty(const struct uq_link *list) {
  return list->next == list;
}

static struct uq_call *call_of(struct uq_link *link) {
  return (struct uq_call *)(void *)((char *)link -
                                    offsetof(struct uq_call, batch.link));
}

struct uq_call *uq_batch_first(const struct uq_link *list) {
  return call_of(list->next);
}

/* Takes the call out of its list, if it is in one. */
static void remove_call(struct uq_call *call) {
  struct uq_link *link = &call->batch.link;
  if (link->next == NULL)
    return;
  link->prev->next = link->next;
  link->next->prev = link->prev;
  link->next = link->prev = NULL;
}

/* Moves the call to the end of a list. */
static void move_call(struct uq_link *list, struct uq_call *call) {
  struct uq_link *link = &call->batch.link;
  remove_call(call);
  link->prev = list->prev;
  link->next = list;
  list->prev->next = link;
  list->prev = link;
}

void uq_batch_recycle(struct uq_batch *b, struct uq_call *call) {
  move_call(&b->free, call);
  b->busy--;
}

void uq_batch_init(struct uq_batch *b, const struct uq_options *o) {
  memset(b, 0, sizeof *b);
  uq_task_group_init(&b->group);
  init_list(&b->free);
  init_list(&b->flight);
  init_list(&b->finished);
  b->options = *o;
}

/* Where the user value has the call with that number. */
static int call_index(int number) { return UQ_BATCH_VALUES + 2 * number - 1; }

int uq_batch_query_index(int number) { return UQ_BATCH_VALUES + 2 * number; }

void uqL_batch_push_call(lua_State *L, int uv, const struct uq_call *call) {
  lua_rawgeti(L, uv, call_index(call->batch.number));
}

/* Makes a free call. */
static void add_call(lua_State *L, struct uq_batch *b, int uv) {
  int number = ++b->calls; /* first: a finalizer may add one, too */
  lua_rawgeti(L, uv, UQ_BATCH_CLIENT);
  lua_pushliteral(L, "");
  struct uq_call *call = uqL_call_push_object(L, lua_gettop(L) - 1);
  lua_pushboolean(L, 0);
  lua_rawseti(L, uv, uq_batch_query_index(number)); /* makes room */
  lua_pushvalue(L, -1);
  lua_rawseti(L, uv, call_index(number));
  lua_pop(L, 2);
  call->batch.number = number;
  move_call(&b->free, call);
}

/* ------------------------------------------------------------------------ */
/* queries                                                                   */
/* ------------------------------------------------------------------------ */

/* read_query(batch, query, call) -> why the query is refused, or nil. Sets the
** options of the call, which no other caller has. */
static int read_query(lua_State *L) {
  const struct uq_batch *b = lua_touserdata(L, 1);
  struct uq_call *call = lua_touserdata(L, 3);
  lua_settop(L, 2);
  call->batch.reading = true;
  call->options = b->options;
  if (lua_type(L, 2) == LUA_TSTRING) {
    lua_createtable(L, 0, 1);
    lua_insert(L, 2);
    lua_setfield(L, 2, "currency");
  } else if (!lua_istable(L, 2)) {
    return luaL_error(L,
                      "bad query to 'batch' (a currency or table expected, got "
                      "%s)",
                      luaL_typename(L, 2));
  }
  if (uqL_call_options(L, 2, UQ_ENDPOINT_BALANCE, "batch", &call->options))
    lua_pushnil(L);
  call->batch.reading = false;
  return 1;
}

/* refuse_query(call, message): ends the call, which is not begun. */
static int refuse_query(lua_State *L) {
  struct uq_options o = ((struct uq_call *)lua_touserdata(L, 1))->options;
  uqL_call_refuse_object(L, 1, UQ_ENDPOINT_BALANCE, &o);
  return 0;
}

/* Pushes the functions above: 5.1 allocates for that. */
static void push_functions(lua_State *L) {
  lua_pushcfunction(L, read_query);
  lua_pushcfunction(L, refuse_query);
}

/* Reads the query at `query`, behind the functions, for the call at `idx`, and
** ends the call if the query is refused. False: pushes an error that is not the
** query's fault. Allocates nothing that is not protected. */
static bool prepare_call(lua_State *L, const struct uq_batch *b, int uv,
                         int query, int idx) {
  struct uq_call *call = lua_touserdata(L, idx);
  call->batch.reading = false;
  lua_pushvalue(L, query - 2); /* read_query */
  lua_pushvalue(L, 1);
  lua_pushvalue(L, query);
  lua_pushvalue(L, idx);
  int status = lua_pcall(L, 3, 1, 0);
  if (status == LUA_ERRRUN && call->batch.reading)
    call->options = b->options; /* what was read so far means nothing */
  else if (status != LUA_OK)
    return false;
  if (lua_isnil(L, -1))
    lua_rawgeti(L, uv, UQ_BATCH_REFUSED);
  if (!lua_toboolean(L, -1))
    return true;
  lua_pushvalue(L, query - 1); /* refuse_query */
  lua_pushvalue(L, idx);
  lua_pushvalue(L, -3);
  return lua_pcall(L, 2, 0, 0) == LUA_OK;
}

/* ------------------------------------------------------------------------ */
/* calls                                                                     */
/* ------------------------------------------------------------------------ */

/* Steps a call in flight. After an error the call is over, but has no results
** yet: it is stepped again next time. */
static void step_call(lua_State *L, struct uq_batch *b, int uv,
                      struct uq_call *call) {
  bool interrupted = b->interrupted;
  struct uq_call *outer = b->stepped; /* a finalizer may step the batch, too */
  uqL_batch_push_call(L, uv, call);
  b->interrupted = true;
  b->stepped = call;
  bool over = uqL_call_step(L, lua_gettop(L), false);
  b->stepped = outer;
  b->interrupted = interrupted;
  lua_pop(L, 1);
  if (over && !b->stopped) /* by a hook of the call */
    move_call(&b->finished, call);
  if (!uq_call_is_over(call) && call->attempt.count == 0)
    b->held = call;
  else if (b->held == call)
    b->held = NULL;
}

/* Begins the call for the query at `query`, which is its own by now. */
static void begin_call(lua_State *L, struct uq_batch *b, int uv, int query,
                       struct uq_call *call) {
  struct uq_options o;
  uqL_batch_push_call(L, uv, call);
  if (!prepare_call(L, b, uv, query, lua_gettop(L))) {
    uq_batch_recycle(b, call);
    b->has_query = true; /* it is begun later */
    lua_pushvalue(L, query);
    lua_rawseti(L, uv, UQ_BATCH_QUERY);
    lua_error(L);
  }
  o = call->options;
  if (call->results > 0) {
    move_call(&b->finished, call);
  } else if (uqL_call_begin_object(call, b->client, UQ_ENDPOINT_BALANCE, &o,
                                   &b->group)) {
    move_call(&b->flight, call);
    step_call(L, b, uv, call);
  } else {
    uq_batch_recycle(b, call);
    b->source_over = b->closed = true;
  }
}

void uqL_batch_begin_next(lua_State *L, struct uq_batch *b, int uv) {
  int top = lua_gettop(L);
  luaL_checkstack(L, LUA_MINSTACK, "a batch");
  if (uq_batch_is_empty(&b->free))
    add_call(L, b, uv);
  push_functions(L); /* before the query is taken */
  lua_rawgeti(L, uv, UQ_BATCH_QUERY);
  if (b->has_query && !uq_batch_is_empty(&b->free)) {
    struct uq_call *call = uq_batch_first(&b->free);
    remove_call(call); /* it is in no list while it is begun */
    b->busy++;
    b->has_query = false;
    lua_pushvalue(L, -1);
    lua_rawseti(L, uv, uq_batch_query_index(call->batch.number));
    lua_pushboolean(L, 0);
    lua_rawseti(L, uv, UQ_BATCH_QUERY);
    begin_call(L, b, uv, top + 3, call);
  }
  lua_settop(L, top);
}

/* Steps all calls in flight that are due, whether the run queue knows or not.
 */
static void step_all(lua_State *L, struct uq_batch *b, int uv) {
  for (struct uq_link *link = b->flight.next; link != &b->flight;) {
    struct uq_call *call = call_of(link);
    link = link->next;
    if (uq_call_is_due(call)) {
      step_call(L, b, uv, call);
      link = b->flight.next; /* a finalizer may have changed the list */
    }
  }
}

void uqL_batch_step(lua_State *L, struct uq_batch *b, int uv) {
  const struct uq_client *c = b->client;
  struct uq_task *task;
  while ((task = uq_run_queue_next_of(&b->client->queue, &b->group)) != NULL)
    step_call(L, b, uv, uq_call_of(task));
  if (!b->interrupted && c->transport != NULL &&
      !uq_transport_forked(c->transport))
    return;
  step_all(L, b, uv);
  b->interrupted = false;
}

void uq_batch_cancel(struct uq_batch *b) {
  for (struct uq_link *link = b->flight.next; link != &b->flight;
       link = link->next)
    uq_call_stop(call_of(link), &uq_ending_canceled);
  b->interrupted = true; /* the run queue does not report them */
}

void uq_batch_stop(struct uq_batch *b) {
  b->source_over = b->stopped = true;
  b->has_query = false;
  b->held = NULL;
  while (!uq_batch_is_empty(&b->flight)) {
    struct uq_call *call = uq_batch_first(&b->flight);
    uq_call_stop(call, &uq_ending_canceled);
    uq_batch_recycle(b, call);
  }
  while (!uq_batch_is_empty(&b->finished))
    uq_batch_recycle(b, uq_batch_first(&b->finished));
}
