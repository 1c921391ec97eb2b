/*
** batch.c - see batch.h.
**
** Any allocation may run a finalizer that uses the iterator which is at work:
** what that can change is looked at again afterwards. A call is in one of the
** lists `free`, `flight` and `finished`, and what it is moved to another list
** for is done without an allocation: so each result is given once.
** SPDX-License-Identifier: MIT
*/
#include "binding/batch.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include "binding/auxlib.h"
#include "binding/call.h"
#include "binding/call_options.h"
#include "binding/calls.h"
#include "binding/client.h"
#include "binding/login.h"
#include "binding/options.h"
#include "engine/base/clock.h"

#define BATCH "uqpay.batch" /* metatable */

struct batch {
  struct uq_task_group group; /* its calls in flight */
  struct uq_client *client;   /* the user value keeps it */
  struct uq_options options;  /* of all its calls */
  struct uq_link free;        /* calls that wait for a query */
  struct uq_link flight;
  struct uq_link finished; /* in order of completion */
  int calls;               /* their number in all lists */
  int busy;                /* the same without the free ones */
  bool is_list;            /* the source is a list ... */
  int total;               /* ... that had so many queries when it began */
  int given;               /* by the list */
  bool over;               /* the source gives no more, or is being asked */
  bool closed;             /* since the client is */
  bool has_query;          /* there is one that is not begun yet */
  bool torn;               /* a step has raised: any call may be over */
  struct uq_call *held; /* by the rate limit, as the next would be; or NULL */
  struct uq_call *stepped; /* or NULL */
  double done, failed;
  double started; /* on uq_clock */
};

/* The user value of a batch: "client", "source", "progress", "refused" (why all
** queries are, or nil), "query" (not begun yet); at 2n - 1 the call
** number n, at 2n its query. */

/* ------------------------------------------------------------------------ */
/* lists of calls                                                            */
/* ------------------------------------------------------------------------ */

static void init_list(struct uq_link *list) { list->next = list->prev = list; }

static bool is_empty(const struct uq_link *list) { return list->next == list; }

static struct uq_call *call_of(struct uq_link *link) {
  return (struct uq_call *)(void *)((char *)link -
                                    offsetof(struct uq_call, batch.link));
}

static struct uq_call *first_of(const struct uq_link *list) {
  return call_of(list->next);
}

/* Takes the call out of its list, if it is in one. */
static void take_out(struct uq_call *call) {
  struct uq_link *link = &call->batch.link;
  if (link->next == NULL)
    return;
  link->prev->next = link->next;
  link->next->prev = link->prev;
  link->next = link->prev = NULL;
}

/* Moves the call to the end of a list. */
static void move_to(struct uq_link *list, struct uq_call *call) {
  struct uq_link *link = &call->batch.link;
  take_out(call);
  link->prev = list->prev;
  link->next = list;
  list->prev->next = link;
  list->prev = link;
}

static void push_call(lua_State *L, int uv, const struct uq_call *call) {
  lua_rawgeti(L, uv, 2 * call->batch.number - 1);
}

/* ------------------------------------------------------------------------ */
/* queries                                                                   */
/* ------------------------------------------------------------------------ */

/* read_query(batch, query, call) -> why the query is refused, or nil. Sets the
** options of the call, which nobody else has. */
static int read_query(lua_State *L) {
  const struct batch *b = lua_touserdata(L, 1);
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

/* Reads the query at `query` for the call at `idx`: ends that if the query is
** refused. False: pushes what was raised that is no fault of the query. */
static bool prepare(lua_State *L, const struct batch *b, int uv, int query,
                    int idx) {
  struct uq_call *call = lua_touserdata(L, idx);
  call->batch.reading = false;
  lua_pushcfunction(L, read_query);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, query);
  lua_pushvalue(L, idx);
  int status = lua_pcall(L, 3, 1, 0);
  if (status == LUA_ERRRUN && call->batch.reading)
    call->options = b->options; /* what was read so far means nothing */
  else if (status != LUA_OK)
    return false;
  if (lua_isnil(L, -1))
    lua_getfield(L, uv, "refused");
  if (lua_isnil(L, -1))
    return true;
  lua_pushcfunction(L, refuse_query);
  lua_pushvalue(L, idx);
  lua_pushvalue(L, -3);
  return lua_pcall(L, 2, 0, 0) == LUA_OK;
}

/* Makes a free call if there is none. */
static void make_call(lua_State *L, struct batch *b, int uv) {
  int number = ++b->calls; /* first: a finalizer may make one, too */
  lua_getfield(L, uv, "client");
  lua_pushliteral(L, "");
  struct uq_call *call = uqL_call_push_object(L, lua_gettop(L) - 1);
  lua_pushboolean(L, 0);
  lua_rawseti(L, uv, 2 * number); /* room for its query */
  lua_pushvalue(L, -1);
  lua_rawseti(L, uv, 2 * number - 1);
  lua_pop(L, 2);
  call->batch.number = number;
  move_to(&b->free, call);
}

/* ------------------------------------------------------------------------ */
/* calls                                                                     */
/* ------------------------------------------------------------------------ */

/* Steps a call in flight. After an error it is over, and has no results yet: it
** is stepped again next time. */
static void step(lua_State *L, struct batch *b, int uv, struct uq_call *call) {
  bool torn = b->torn;
  push_call(L, uv, call);
  b->torn = true;
  b->stepped = call;
  bool over = uqL_call_step(L, lua_gettop(L), false);
  b->stepped = NULL;
  b->torn = torn;
  lua_pop(L, 1);
  if (over)
    move_to(&b->finished, call);
  if (!uq_call_is_over(call) && call->attempt.count == 0)
    b->held = call;
  else if (b->held == call)
    b->held = NULL;
}

/* Begins the call for a query that is its own by now. */
static void begin(lua_State *L, struct batch *b, int uv, int query,
                  struct uq_call *call) {
  struct uq_options o;
  push_call(L, uv, call);
  if (!prepare(L, b, uv, query, lua_gettop(L))) {
    move_to(&b->free, call);
    b->busy--;
    b->has_query = true; /* it is begun later */
    lua_pushvalue(L, query);
    lua_setfield(L, uv, "query");
    lua_error(L);
  }
  o = call->options;
  if (call->results > 0) {
    move_to(&b->finished, call);
  } else if (uqL_call_begin_object(call, b->client, UQ_ENDPOINT_BALANCE, &o,
                                   &b->group)) {
    move_to(&b->flight, call);
    step(L, b, uv, call);
  } else {
    move_to(&b->free, call);
    b->busy--;
    b->over = b->closed = true;
  }
}

/* Begins a call for the batch's query, if a finalizer has not done so. */
static void begin_next(lua_State *L, struct batch *b, int uv) {
  int top = lua_gettop(L);
  luaL_checkstack(L, LUA_MINSTACK, "a batch");
  if (is_empty(&b->free))
    make_call(L, b, uv);
  lua_getfield(L, uv, "query");
  if (b->has_query && !is_empty(&b->free)) {
    struct uq_call *call = first_of(&b->free);
    take_out(call); /* into no list: it is not begun yet */
    b->busy++;
    b->has_query = false;
    lua_pushvalue(L, -1);
    lua_rawseti(L, uv, 2 * call->batch.number);
    lua_pushboolean(L, 0);
    lua_setfield(L, uv, "query");
    begin(L, b, uv, top + 1, call);
  }
  lua_settop(L, top);
}

/* Steps the calls that are due, or that may be. */
static void step_due(lua_State *L, struct batch *b, int uv) {
  struct uq_run_queue *q = &b->client->queue;
  struct uq_task *task;
  while ((task = uq_run_queue_next_of(q, &b->group)) != NULL)
    step(L, b, uv, uq_call_of(task));
  if (!b->torn && b->client->transport != NULL &&
      !uq_transport_forked(b->client->transport))
    return;
  for (struct uq_link *link = b->flight.next; link != &b->flight;) {
    struct uq_call *call = call_of(link);
    link = link->next;
    if (uq_call_is_due(call)) {
      step(L, b, uv, call);
      link = b->flight.next; /* a finalizer may have changed the list */
    }
  }
  b->torn = false;
}

/* ------------------------------------------------------------------------ */
/* the iterator                                                              */
/* ------------------------------------------------------------------------ */

/* True if another call may be begun beside those whose results wait, but for
** the one that is given next. */
static bool has_room(const struct batch *b) {
  return b->held == NULL &&
         b->busy - !is_empty(&b->finished) < b->options.concurrency;
}

/* The next query of a list. */
static void take_from_list(lua_State *L, struct batch *b, int uv) {
  lua_getfield(L, uv, "source");
  lua_rawgeti(L, -1, ++b->given);
  if (lua_isnil(L, -1) && b->given <= b->total)
    luaL_error(L, "queries[%d] is nil: the list was changed", b->given);
  b->over = b->has_query = !lua_isnil(L, -1);
  b->over = !b->has_query;
  lua_setfield(L, uv, "query");
  lua_pop(L, 1);
}

/* Takes what the source has given: a query, or nil and maybe a failure, at the
** top. */
static void take_query(lua_State *L, struct batch *b, int uv) {
  if (!lua_toboolean(L, -2) && !lua_isnil(L, -1))
    lua_error(L); /* it is not complete */
  lua_pop(L, 1);
  b->has_query = !lua_isnil(L, -1);
  b->over = !b->has_query;
  lua_setfield(L, uv, "query");
}

/* Begins calls while there is room. True: the source, a function, is to be
** asked. */
static bool fill(lua_State *L, struct batch *b, int uv) {
  while (has_room(b) && (b->has_query || !b->over)) {
    if (!b->has_query && !b->is_list)
      return true;
    if (!b->has_query)
      take_from_list(L, b, uv);
    if (!b->has_query)
      break;
    if (b->client->transport == NULL) {
      b->has_query = false;
      b->over = b->closed = true;
      break;
    }
    begin_next(L, b, uv);
  }
  return false;
}

/* Asks the source. If it raises an error, it is not asked again. */
static void ask_source(lua_State *L, struct batch *b, int uv) {
  b->over = true;
  lua_getfield(L, uv, "source");
  lua_call(L, 0, 2);
  take_query(L, b, uv);
}

static void set_number(lua_State *L, const char *name, double value) {
  uqL_pushcount(L, value);
  lua_setfield(L, -2, name);
}

/* report(batch, user value): calls `progress`. */
static int report(lua_State *L) {
  const struct batch *b = lua_touserdata(L, 1);
  double elapsed = uq_clock() - b->started;
  double rate = elapsed > 0 ? b->done / elapsed : 0;
  lua_getfield(L, 2, "progress");
  lua_newtable(L);
  set_number(L, "done", b->done);
  set_number(L, "failed", b->failed);
  lua_pushnumber(L, rate);
  lua_setfield(L, -2, "rate");
  if (b->is_list) {
    set_number(L, "total", b->total);
    if (rate > 0) {
      lua_pushnumber(L, (double)time(NULL) + (b->total - b->done) / rate);
      lua_setfield(L, -2, "ends");
    }
  }
  lua_call(L, 1, 0);
  return 0;
}

/* Pushes the query and results of the first finished call, which is free then.
** Returns their number. Allocates nothing. */
static int give(lua_State *L, struct batch *b, int uv) {
  struct uq_call *call = first_of(&b->finished);
  int results = call->results, query = 2 * call->batch.number;
  lua_rawgeti(L, uv, query);
  push_call(L, uv, call);
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
  move_to(&b->free, call);
  b->busy--;
  b->done++;
  b->failed += results > 1;
  return 1 + results;
}

/* The same, and reports it. */
static int deliver(lua_State *L, struct batch *b, int uv) {
  lua_getfield(L, uv, "progress");
  bool reported = !lua_isnil(L, -1);
  lua_pop(L, 1);
  lua_pushcfunction(L, report); /* allocates on 5.1: nothing has happened yet */
  lua_pushvalue(L, 1);
  lua_pushvalue(L, uv);
  if (is_empty(&b->finished)) /* a finalizer has taken it */
    return 0;
  int results = give(L, b, uv);
  if (!reported)
    return results;
  lua_pushvalue(L, uv + 1);
  lua_pushvalue(L, uv + 2);
  lua_pushvalue(L, uv + 3);
  if (lua_pcall(L, 2, 0, 0) != LUA_OK) {
    lua_pop(L, 1);
    b->client->stats.hook_errors++;
  }
  return results;
}

/* The batch is at 1; its user value is pushed at 2. */
static struct batch *begin_use(lua_State *L) {
  struct batch *b = lua_touserdata(L, 1);
  if (b->stepped != NULL && b->stepped->stepped)
    luaL_error(L, "a hook must not use the iterator that it runs for");
  uqL_get_user_value(L, 1);
  return b;
}

/* True if nothing will be finished any more; within a call's beginning, if that
** is the only one. */
static bool is_over(lua_State *L, const struct batch *b) {
  if (!is_empty(&b->finished) || !is_empty(&b->flight))
    return false;
  if (b->closed)
    luaL_error(L, UQ_CLOSED);
  return true;
}

/* Waits until a call of the batch may be due. A debug hook or a finalizer may
** use the iterator in between. */
static void wait(lua_State *L, const struct batch *b) {
  struct uq_client *c = b->client;
  while (!b->group.task.due && !b->torn && is_empty(&b->finished) &&
         !is_empty(&b->flight)) {
    if (c->transport == NULL || uq_transport_forked(c->transport))
      return;
    uq_calls_step(c, HUGE_VAL);
    if (!uqL_calls_debug_hook(L))
      lua_error(L);
  }
}

/* The iterator of a program without an event loop; its upvalue is the batch. */
static int batch_iterate(lua_State *L) {
  int results = 0;
  lua_settop(L, 0);
  lua_pushvalue(L, lua_upvalueindex(1));
  struct batch *b = begin_use(L);
  do {
    while (fill(L, b, 2))
      ask_source(L, b, 2);
    if (is_over(L, b))
      return 0;
    if (is_empty(&b->finished)) {
      wait(L, b);
      step_due(L, b, 2);
    } else {
      results = deliver(L, b, 2);
    }
    if (results == 0)
      lua_settop(L, 2);
  } while (results == 0);
  uq_calls_publish(b->client, true);
  return results;
}

int uqL_batch_next(lua_State *L) {
  luaL_checkudata(L, 1, BATCH);
  lua_settop(L, 1);
  struct batch *b = begin_use(L);
  step_due(L, b, 2);
  bool ask = fill(L, b, 2);
  if (ask) {
    b->over = true; /* until it has given something */
    lua_pushliteral(L, "query");
    return 1;
  }
  if (is_over(L, b)) {
    lua_pushliteral(L, "end");
    return 1;
  }
  int results = is_empty(&b->finished) ? 0 : deliver(L, b, 2);
  uq_calls_publish(b->client, true);
  lua_pushstring(L, results > 0 ? "result" : "wait");
  lua_insert(L, -1 - results);
  return 1 + results;
}

int uqL_batch_query(lua_State *L) {
  struct batch *b = luaL_checkudata(L, 1, BATCH);
  lua_settop(L, 3);
  uqL_get_user_value(L, 1);
  lua_insert(L, 2);
  take_query(L, b, 2);
  return 0;
}

/* ------------------------------------------------------------------------ */
/* its life                                                                  */
/* ------------------------------------------------------------------------ */

/* Ends the calls in flight: their answers are not needed any more. */
static void stop(struct batch *b) {
  b->over = true;
  b->has_query = false;
  b->held = NULL;
  while (!is_empty(&b->flight)) {
    struct uq_call *call = first_of(&b->flight);
    uq_call_stop(call, &uq_ending_canceled);
    move_to(&b->free, call);
    b->busy--;
  }
}

int uqL_batch_close(lua_State *L) {
  struct batch *b = luaL_checkudata(L, 1, BATCH);
  stop(b);
  if (b->client == NULL)
    return 0;
  uq_calls_publish(b->client, true);
  lua_settop(L, 1);
  uqL_get_user_value(L, 1);
  if (!is_empty(&b->free)) {
    push_call(L, 2, first_of(&b->free));
    uqL_login_abandon_if_unwanted(L, 3);
  }
  return 0;
}

static int batch_gc(lua_State *L) {
  struct batch *b = luaL_checkudata(L, 1, BATCH);
  stop(b);
  if (b->client != NULL)
    uq_run_queue_leave(&b->client->queue, &b->group.task);
  return 0;
}

void uqL_batch_open(lua_State *L) {
  static const luaL_Reg metamethods[] = {
      {"__gc", batch_gc}, {"__close", uqL_batch_close}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{NULL, NULL}};
  uqL_class(L, BATCH, metamethods, methods);
}

static struct batch *new_batch(lua_State *L, const struct uq_options *o) {
  struct batch *b = lua_newuserdata(L, sizeof *b);
  memset(b, 0, sizeof *b);
  uq_task_group_init(&b->group);
  init_list(&b->free);
  init_list(&b->flight);
  init_list(&b->finished);
  b->options = *o;
  luaL_getmetatable(L, BATCH);
  lua_setmetatable(L, -2);
  return b;
}

/* Makes the batch; at 1 to 4: client, queries, options, and why all queries are
** refused, or nil. */
static void push_batch(lua_State *L, const struct uq_options *o, bool is_list,
                       int total) {
  struct batch *b = new_batch(L, o);
  lua_createtable(L, 2 * (o->concurrency < 64 ? o->concurrency : 64), 5);
  lua_pushvalue(L, 1);
  lua_setfield(L, -2, "client");
  lua_pushvalue(L, 2);
  lua_setfield(L, -2, "source");
  lua_pushvalue(L, 4);
  lua_setfield(L, -2, "refused");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "query");
  if (lua_istable(L, 3)) {
    lua_pushliteral(L, "progress");
    lua_rawget(L, 3);
    lua_setfield(L, -2, "progress");
  }
  uqL_set_user_value(L, -2);
  b->client = lua_touserdata(L, 1);
  b->group.task.id = ++b->client->ids;
  b->is_list = is_list;
  b->total = total;
  b->started = uq_clock();
}

/* Pushes an iterator of the batch at 5, by the event loop of the client if it
** has one, and the value whose end ends the batch. */
static void push_iterator(lua_State *L, bool is_list) {
  uqL_get_user_value(L, 1);
  lua_getfield(L, -1, "hub");
  if (lua_isnil(L, -1)) {
    lua_pushvalue(L, 5);
    lua_pushcclosure(L, batch_iterate, 1);
    lua_pushvalue(L, 5);
    return;
  }
  uqL_require(L, "uqpay.batch");
  lua_insert(L, -2);
  lua_pushvalue(L, 5);
  uqL_pushcount(L, ((struct batch *)lua_touserdata(L, 5))->group.task.id);
  if (is_list)
    lua_pushnil(L);
  else
    lua_pushvalue(L, 2);
  lua_call(L, 4, 2);
}

int uqL_batch(lua_State *L) {
  struct uq_client *c = lua_touserdata(L, 1);
  struct uq_options o = c->options;
  lua_settop(L, 3);
  bool is_list =
      !lua_isfunction(L, 2) && luaL_getmetafield(L, 2, "__call") == 0;
  if (is_list && !lua_istable(L, 2)) {
    lua_pushfstring(L, "list or iterator function expected, got %s",
                    luaL_typename(L, 2));
    uqL_argument_error(L, 1, "batch", lua_tostring(L, -1));
  }
  lua_settop(L, 3);
  int total = is_list ? uqL_check_list(L, 2, "batch", "queries") : -1;
  if (uqL_batch_options(L, 3, &o))
    lua_pushnil(L);
  lua_insert(L, 4);
  lua_settop(L, 4);
  push_batch(L, &o, is_list, total);
  push_iterator(L, is_list);
  lua_pushnil(L);
  lua_insert(L, -2);
  lua_pushnil(L);
  lua_insert(L, -2);
  return 4;
}
