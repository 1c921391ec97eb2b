/*
** call.c - the life of a call: its making, its end, its waiting, and the call
** object that start_balance gives. Its course is attempt.c's.
** SPDX-License-Identifier: MIT
*/
#include "binding/call.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#include "binding/attempt.h"
#include "binding/auxlib.h"
#include "binding/client.h"
#include "binding/compat.h"
#include "binding/error.h"
#include "binding/login.h"
#include "binding/options.h"
#include "binding/reclaim.h"
#include "engine/api/endpoint.h"
#include "engine/base/buf.h"
#include "engine/base/clock.h"
#include "engine/base/error_kind.h"
#include "engine/http/transport.h"
#include "engine/policy/rate_limiter.h"
#include "engine/policy/run_queue.h"

/* Seconds, the longest wait in one piece: a signal that came just before it
** would go unseen for so long. */
#define SLICE 0.25

/* ------------------------------------------------------------------------ */
/* life                                                                      */
/* ------------------------------------------------------------------------ */

static const struct uq_ending closed = {UQ_CANCELED, "the client was closed",
                                        "closed"};
static const struct uq_ending canceled = {UQ_CANCELED, "the call was canceled",
                                          "canceled"};
static const struct uq_ending starved = {
    UQ_MEMORY, "not enough memory to finish the call", NULL};
static const struct uq_ending broken = {
    UQ_CANCELED, "an error was raised in a step of the call", "canceled"};

void uq_call_end(struct uq_call *call, bool good) {
  struct uq_client *c = call->client;
  struct uq_transfer *x = call->exchange;
  uq_attempt_count_resends(call);
  call->state = UQ_CALL_ENDED;
  call->client = NULL;
  call->exchange = NULL;
  if (call->answer.sent.data == NULL) /* else it is judged, with that at hand */
    uq_buf_free(&call->earlier);
  if (c == NULL)
    return;
  if (x != NULL)
    uq_transfer_release(x);
  uq_run_queue_leave(&c->queue, &call->turn);
  if (call->prev != NULL)
    call->prev->next = call->next;
  else
    c->calls = call->next;
  if (call->next != NULL)
    call->next->prev = call->prev;
  call->next = call->prev = NULL;
  if (call->is_login)
    return;
  if (good)
    c->stats.succeeded++;
  else
    c->stats.failed++;
}

/* A call that ended by itself needs a reason, too, if its results were lost. */
static void end_early(struct uq_call *call, const struct uq_ending *why) {
  if (call->client != NULL || call->ended == NULL)
    call->ended = why;
  uq_call_end(call, false);
}

void uq_call_cancel(struct uq_call *call) { end_early(call, &canceled); }

void uq_call_cancel_all(struct uq_client *c) {
  while (c->calls != NULL)
    end_early(c->calls, &closed);
}

void uq_call_ready(void *owner) {
  struct uq_call *call = owner;
  struct uq_client *c = call->client;
  if (!call->is_login) {
    uq_run_queue_ready(&c->queue, &call->turn);
    return;
  }
  for (call = c->calls; call != NULL; call = call->next) { /* who wait for it */
    if (call->state == UQ_CALL_LOGIN)
      uq_run_queue_ready(&c->queue, &call->turn);
  }
}

static void clear(struct uq_call *call) {
  memset(call, 0, sizeof *call);
  call->state = UQ_CALL_ENDED;
  call->ended = &closed;
}

/* Pushes a call that has ended, whose peer table is the one at the top, and
** pops that. */
static struct uq_call *make_call(lua_State *L) {
  struct uq_call *call = lua_newuserdata(L, sizeof *call);
  clear(call);
  luaL_getmetatable(L, UQ_CALL);
  lua_setmetatable(L, -2);
  lua_insert(L, -2);
  uqL_set_user_value(L, -2);
  return call;
}

/* Begins the life of a call of the client at idx. query must outlive it. NULL:
** the client is closed, and the call is of no use. */
static struct uq_call *set_up(lua_State *L, struct uq_call *call, int client,
                              const struct uq_endpoint *e, const char *query,
                              const struct uq_options *o) {
  struct uq_client *c = lua_touserdata(L, client);
  if (c->transport == NULL) /* closed meanwhile: see rule 8 */
    return NULL;
  call->endpoint = e;
  call->query = query;
  call->options = *o;
  memcpy(call->key, o->idempotency_key, sizeof call->key);
  if (e->params == NULL)
    uq_endpoint_body(o->currency, call->body);
  call->started = uq_clock();
  call->deadline = call->started + o->timeout;
  call->client = call->home = c;
  call->next = c->calls;
  if (c->calls != NULL)
    c->calls->prev = call;
  c->calls = call;
  call->ended = NULL;
  call->state = UQ_CALL_READY;
  call->id = ++c->ids;
  return call;
}

/* ------------------------------------------------------------------------ */
/* the client's calls together                                               */
/* ------------------------------------------------------------------------ */

/* When the next call's wait is over, or the first of the line is called; below
** 0: nobody waits. */
static double next_wake(const struct uq_client *c) {
  double wake = uq_run_queue_wake(&c->queue);
  if (c->queue.in_line == 0)
    return wake;
  double due = uq_rate_limiter_due(&c->limiter, uq_clock(), 0);
  return wake >= 0 && wake < due ? wake : due;
}

/* The calls whose wait is over are ready; the descriptor knows of the next. */
static void advance(struct uq_client *c) {
  double now = uq_clock();
  uq_run_queue_advance(&c->queue, now);
  while (c->queue.in_line > 0 && uq_rate_limiter_admit(&c->limiter, now))
    uq_run_queue_admit(&c->queue);
  uq_transport_alarm(c->transport, next_wake(c));
}

/* After calls went on: those that wait for the descriptor must see what became
** of theirs. */
static void tell_others(struct uq_client *c) {
  if (c->transport == NULL || uq_transport_forked(c->transport))
    return;
  advance(c);
  if (uq_run_queue_has_ready(&c->queue) ||
      uq_run_queue_has_unclaimed(&c->queue))
    uq_transport_notify(c->transport);
}

/* Whole milliseconds, rounded up. */
static long to_ms(double seconds) { return (long)ceil(seconds * 1000); }

/* Lets the network go on, waiting for at most `limit` seconds. */
static void step_engine(struct uq_client *c, double limit) {
  if (limit > SLICE)
    limit = SLICE;
  uq_transport_step(c->transport, limit > 0 ? to_ms(limit) : 0);
  advance(c);
}

/* Lets a debug hook run: that is how an interpreter tells of Ctrl-C. False:
** pushes what it raised. */
static bool run_debug_hook(lua_State *L) {
  return lua_gethook(L) == NULL || (luaL_loadstring(L, "return") == LUA_OK &&
                                    lua_pcall(L, 0, 0, 0) == LUA_OK);
}

/* In a forked child each call can be stepped, to say so itself. */
static bool wake_all(struct uq_client *c) {
  for (struct uq_call *call = c->calls; call != NULL; call = call->next)
    uq_run_queue_ready(&c->queue, &call->turn);
  return c->calls != NULL;
}

bool uqL_call_wait(lua_State *L, struct uq_client *c, double limit) {
  double end = uq_clock() + limit;
  for (;;) {
    if (uq_transport_forked(c->transport)) /* before us, or by a debug hook */
      return wake_all(c);
    bool any = uq_run_queue_has_ready(&c->queue);
    double left = any ? 0 : end - uq_clock();
    step_engine(c, left);
    if (uq_run_queue_has_ready(&c->queue) || left <= 0)
      return uq_run_queue_has_ready(&c->queue);
    if (!run_debug_hook(L))
      lua_error(L);
    if (c->transport == NULL)
      return false;
  }
}

static int get_fd(struct uq_client *c) {
  if (c->transport == NULL || uq_transport_forked(c->transport))
    return -1;
  int fd = uq_transport_fd(c->transport);
  tell_others(c);
  return fd;
}

int uqL_call_fd(lua_State *L, struct uq_client *c) {
  int fd = get_fd(c);
  if (fd < 0 && !uq_transport_forked(c->transport) && uqL_reclaim(L, c))
    fd = get_fd(c);
  return fd;
}

double uq_call_due(const struct uq_client *c) {
  if (uq_transport_forked(c->transport))
    return c->calls != NULL ? 0 : -1;
  if (uq_run_queue_has_ready(&c->queue))
    return 0;
  double due = uq_transport_due(c->transport);
  double wake = next_wake(c);
  return due < 0 || (wake >= 0 && wake < due) ? wake : due;
}

double uq_call_idle(const struct uq_client *c) {
  if (uq_transport_forked(c->transport) || uq_run_queue_has_ready(&c->queue))
    return 0;
  double now = uq_clock(), wake = next_wake(c);
  double idle = uq_transport_idle(c->transport, now);
  if (wake >= 0)
    idle = fmin(idle, wake - now);
  return idle < HUGE_VAL ? idle : 0;
}

double uq_call_next(struct uq_client *c) {
  struct uq_task *turn;
  while ((turn = uq_run_queue_next(&c->queue)) != NULL) {
    const struct uq_call *call = (struct uq_call *)(void *)turn;
    if (!call->is_login) /* nobody knows that one */
      return call->id;
  }
  return 0;
}

void uq_call_pass(struct uq_client *c, double id) {
  for (struct uq_call *call = c->calls; call != NULL; call = call->next) {
    if (call->id == id)
      uq_run_queue_requeue(&c->queue, &call->turn);
  }
  tell_others(c);
}

void uq_call_recall(struct uq_client *c) {
  uq_run_queue_requeue_all(&c->queue);
  tell_others(c);
}

/* Pushes a call, not set up, for one that blocks: nobody sees such a call, so
** the client keeps the last one. It does not while that is in use: a call that
** an error has left is the collector's. */
static struct uq_call *take_spare(lua_State *L, int client) {
  struct uq_client *c = lua_touserdata(L, client);
  struct uq_call *call = c->cached_call;
  uqL_get_user_value(L, client);
  if (call == NULL)
    return make_call(L);
  c->cached_call = NULL;
  lua_rawgeti(L, -1, UQ_USER_VALUE_CACHED_CALL);
  lua_insert(L, -2);
  lua_pushboolean(L, 0);
  lua_rawseti(L, -2, UQ_USER_VALUE_CACHED_CALL);
  lua_pop(L, 1);
  clear(call);
  return call;
}

/* The call at idx, which blocked, has ended. */
static void give_spare(lua_State *L, int client, int idx) {
  struct uq_client *c = lua_touserdata(L, client);
  if (c->cached_call != NULL) /* that of a hook's call */
    return;
  uqL_get_user_value(L, client);
  lua_pushvalue(L, idx);
  lua_rawseti(L, -2,
              UQ_USER_VALUE_CACHED_CALL); /* there is room: see uqL_client_new */
  lua_pop(L, 1);
  c->cached_call = lua_touserdata(L, idx);
}

int uqL_call_run(lua_State *L, int client, const struct uq_endpoint *e,
                 const struct uq_options *o) {
  const char *query = lua_tostring(L, -1);
  struct uq_call *call = take_spare(L, client);
  int idx = lua_gettop(L);
  int results;
  if (set_up(L, call, client, e, query, o) == NULL)
    return luaL_error(L, UQ_CLOSED);
  call->client->stats.calls++;
  while ((results = uqL_attempt_step(L, idx)) == 0) {
    step_engine(call->home, call->turn.wake - uq_clock());
    if (!run_debug_hook(L)) {
      end_early(call, &canceled);
      uqL_login_abandon_if_unwanted(L, idx);
      tell_others(call->home);
      lua_error(L);
    }
  }
  tell_others(call->home);
  give_spare(L, client, idx);
  return results;
}

/* ------------------------------------------------------------------------ */
/* call objects                                                              */
/* ------------------------------------------------------------------------ */

/* Keeps the n results at the top in the peer table of the call at 1. */
static void keep_results(lua_State *L, struct uq_call *call, int n) {
  int last = lua_gettop(L);
  uqL_get_user_value(L, 1);
  for (int i = 1; i <= n; i++) {
    lua_pushvalue(L, last - n + i);
    lua_rawseti(L, -2, i);
  }
  call->results = n;
}

/* One step of the call at 1, in protected mode. A finalizer may have finished
** it since step_call looked. */
static int step(lua_State *L) {
  struct uq_call *call = lua_touserdata(L, 1);
  if (call->results > 0)
    return 0;
  int results = uqL_attempt_step(L, 1);
  if (results > 0)
    keep_results(L, call, results);
  return 0;
}

/* Is the error at the top a lack of memory? Its status does not tell on Lua 5.1
** to 5.3 once it was caught and raised again. */
static bool is_memory_error(lua_State *L) {
  return lua_type(L, -1) == LUA_TSTRING &&
         strstr(lua_tostring(L, -1), "not enough memory") != NULL;
}

/* Is the client one that can be stepped? */
static bool is_live(const struct uq_call *call) {
  return call->client != NULL && !uq_transport_forked(call->client->transport);
}

/* Wipes what is left of a call that nobody judges any more. */
static void forget(struct uq_call *call) {
  uq_response_free(&call->answer);
  uq_buf_free(&call->scratch);
  uq_buf_free(&call->earlier);
  uq_buf_free(&call->token);
}

/* Steps the call at idx, the engine before if that is asked for. True: it has
** its results. What a step raises (out of memory, or from a debug hook or a
** finalizer) ends the call first. */
static bool step_call(lua_State *L, int idx, bool engine) {
  struct uq_call *call = lua_touserdata(L, idx);
  if (call->results > 0 || call->busy) /* busy: this is one of its own hooks */
    return call->results > 0;
  lua_pushcfunction(L, step); /* allocates on 5.1: nothing has happened yet */
  lua_pushvalue(L, idx);
  if (engine && is_live(call) && !uq_attempt_ready(call))
    step_engine(call->client, 0);
  call->busy = true;
  int status = lua_pcall(L, 1, 0, 0);
  call->busy = false;
  if (status != LUA_OK) {
    end_early(call, is_memory_error(L) ? &starved : &broken);
    forget(call);
    uqL_login_abandon_if_unwanted(L, idx);
  }
  tell_others(call->home);
  if (status != LUA_OK)
    lua_error(L);
  return call->results > 0;
}

bool uqL_call_step(lua_State *L, int idx) { return step_call(L, idx, false); }

/* Pushes a call object, not set up. Its table keeps the query at the top. */
static struct uq_call *push_object(lua_State *L, int client) {
  lua_createtable(L, 3, 2);
  lua_insert(L, -2);
  lua_setfield(L, -2, "query");
  lua_pushvalue(L, client);
  lua_setfield(L, -2, "client");
  return make_call(L);
}

/* Pushes a call object, not begun. Its table keeps the query at the top. NULL:
** see set_up. */
static struct uq_call *new_object(lua_State *L, int client,
                                  const struct uq_endpoint *e,
                                  const struct uq_options *o) {
  const char *query = lua_tostring(L, -1);
  struct uq_call *call = push_object(L, client);
  if (set_up(L, call, client, e, query, o) == NULL)
    return NULL;
  call->is_object = true;
  return call;
}

void uqL_call_start(lua_State *L, int client, const struct uq_endpoint *e,
                    const struct uq_options *o) {
  struct uq_call *call = new_object(L, client, e, o);
  if (call == NULL) {
    luaL_error(L, UQ_CLOSED);
    return;
  }
  call->client->stats.calls++;
  step_call(L, lua_gettop(L), false);
}

/* Replaces the message at the top by the error of a call that is refused. */
static void push_refusal(lua_State *L, const struct uq_endpoint *e,
                         const struct uq_options *o) {
  uqL_error_unsent(L, UQ_INVALID_REQUEST);
  uqL_error_set_string(L, "endpoint", e->name);
  uqL_error_set_string(L, "on_behalf_of", o->on_behalf_of);
  uqL_error_set_string(L, "idempotency_key", o->idempotency_key);
}

int uqL_call_refuse(lua_State *L, const struct uq_endpoint *e,
                    const struct uq_options *o) {
  push_refusal(L, e, o);
  return uqL_error_push_failure(L);
}

/* The client does not know the object: no call was begun. */
void uqL_call_start_refused(lua_State *L, int client,
                            const struct uq_endpoint *e,
                            const struct uq_options *o) {
  struct uq_client *c = lua_touserdata(L, client);
  push_refusal(L, e, o);
  lua_pushliteral(L, ""); /* the query */
  struct uq_call *call = push_object(L, client);
  call->endpoint = e;
  call->query = "";
  call->options = *o;
  call->home = c;
  call->id = ++c->ids;
  call->is_object = true;
  lua_insert(L, -2);
  int results = uqL_error_push_failure(L);
  uqL_get_user_value(L, -1 - results);
  for (int i = results; i > 0; i--) {
    lua_insert(L, -2);
    lua_rawseti(L, -2, i);
  }
  lua_pop(L, 1);
  call->results = results;
}

struct uq_call *uqL_call_login(lua_State *L, int client,
                               const struct uq_options *o) {
  lua_pushliteral(L, "");
  struct uq_call *call = new_object(L, client, UQ_ENDPOINT_TOKEN, o);
  if (call != NULL) {
    call->is_login = true;
    call->deadline = HUGE_VAL; /* those who wait for it have theirs */
  }
  return call;
}

static struct uq_call *check_call(lua_State *L) {
  return uqL_self(L, UQ_CALL, "call");
}

/* call:step() -> is it finished? Never blocks. */
static int call_step(lua_State *L) {
  check_call(L);
  lua_pushboolean(L, step_call(L, 1, true));
  return 1;
}

/* Is there a result to be had? Not within the call's own hooks. */
static bool is_done(const struct uq_call *call) {
  return call->client == NULL && !call->busy;
}

/* call:done() -> is it finished? Does nothing else. */
static int call_done(lua_State *L) {
  lua_pushboolean(L, is_done(check_call(L)));
  return 1;
}

/* call:result() -> what client:balance would have returned. Raises if the call
** is not finished. */
static int call_result(lua_State *L) {
  struct uq_call *call = check_call(L);
  if (!is_done(call) || !step_call(L, 1, false))
    return luaL_error(L, "the call is not finished");
  lua_settop(L, 1);
  uqL_get_user_value(L, 1);
  for (int i = 1; i <= call->results; i++)
    lua_rawgeti(L, 2, i);
  return call->results;
}

/* That may be what another call waits for, its connection above all. */
static void cancel(struct uq_call *call) {
  struct uq_client *c = call->client;
  end_early(call, &canceled);
  if (c != NULL)
    tell_others(c);
}

/* call:cancel(): a call in flight ends with the kind `canceled`. */
static int call_cancel(lua_State *L) {
  cancel(check_call(L));
  uqL_login_abandon_if_unwanted(L, 1);
  return 0;
}

static int call_gc(lua_State *L) {
  struct uq_call *call = luaL_checkudata(L, 1, UQ_CALL);
  if (call->home != NULL && call->home->cached_call == call)
    call->home->cached_call = NULL;
  cancel(call);
  forget(call);
  uqL_login_abandon_if_unwanted(L, 1);
  return 0;
}

/* call:id() -> a number that no other call of the client has. */
static int call_id(lua_State *L) {
  uqL_pushcount(L, check_call(L)->id);
  return 1;
}

/* call:attempts() -> requests sent so far, libcurl's own resends included; 0:
** it waits for the rate limit. */
static int call_attempts(lua_State *L) {
  struct uq_call *call = check_call(L);
  uq_attempt_count_resends(call);
  lua_pushinteger(L, call->attempts);
  return 1;
}

/* call:pollfd() -> the client's descriptor; nil: there is none. */
static int call_pollfd(lua_State *L) {
  struct uq_call *call = check_call(L);
  int fd = is_live(call) ? uqL_call_fd(L, call->client) : -1;
  if (fd >= 0)
    lua_pushinteger(L, fd);
  else
    lua_pushnil(L);
  return 1;
}

/* call:getfd(): the same for LuaSocket's select, -1 instead of nil. It passes
** over who has none, though he be dirty; of who is dirty it asks the number and
** does not wait for it. So a finished call has one: standard input's. */
static int call_getfd(lua_State *L) {
  struct uq_call *call = check_call(L);
  lua_pushinteger(L,
                  is_live(call) ? uqL_call_fd(L, call->client) : STDIN_FILENO);
  return 1;
}

/* call:events() -> "r": what to wait for on the descriptor. */
static int call_events(lua_State *L) {
  check_call(L);
  lua_pushliteral(L, "r");
  return 1;
}

/* Has it something to do now? Its exchange is gone while it is judged, and in
** the hooks of that. */
static bool is_ready(const struct uq_call *call) {
  return !is_live(call) || uq_attempt_ready(call);
}

/* call:dirty() -> need nobody wait before the next step? For LuaSocket. */
static int call_dirty(lua_State *L) {
  lua_pushboolean(L, is_ready(check_call(L)));
  return 1;
}

/* call:timeout() -> seconds after which it must be stepped, whatever the
** descriptor says. */
static int call_timeout(lua_State *L) {
  struct uq_call *call = check_call(L);
  double left = 0;
  if (!is_ready(call)) {
    double end = call->turn.wake;
    double due = uq_call_due(call->client);
    left = (due >= 0 && due < end ? due : end) - uq_clock();
  }
  lua_pushnumber(L, left > 0 ? left : 0);
  return 1;
}

static int call_tostring(lua_State *L) {
  static const char *const states[] = {"ready",   "in flight", "waiting",
                                       "waiting", "waiting",   "finished"};
  struct uq_call *call = check_call(L);
  lua_pushfstring(L, "uqpay.call (%s %s, %s)", call->endpoint->name,
                  call->options.currency, states[call->state]);
  return 1;
}

static const luaL_Reg metamethods[] = {
    {"__gc", call_gc}, {"__tostring", call_tostring}, {NULL, NULL}};

static const luaL_Reg methods[] = {
    {"step", call_step},       {"done", call_done},
    {"result", call_result},   {"cancel", call_cancel},
    {"id", call_id},           {"attempts", call_attempts},
    {"pollfd", call_pollfd},   {"events", call_events},
    {"timeout", call_timeout}, {"getfd", call_getfd},
    {"dirty", call_dirty},     {NULL, NULL}};

void uqL_call_open(lua_State *L) {
  uqL_class(L, UQ_CALL, metamethods, methods);
}
