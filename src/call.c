/*
** call.c - the life of a call: its making, its end, its waiting, and the call
** object that start_balance gives. Its course is attempt.c's.
** SPDX-License-Identifier: MIT
*/
#include "call.h"

#include <math.h>
#include <string.h>

#include "clock.h"

#define SLICE                                                       \
  0.25 /* seconds, the longest wait in one piece: a signal that came \
          just before it would go unseen for so long */

/* ------------------------------------------------------------------------ */
/* life                                                                      */
/* ------------------------------------------------------------------------ */

static const struct uq_ending closed = {UQ_CANCELED, "the client was closed",
                                        "closed"};
static const struct uq_ending canceled = {UQ_CANCELED, "the call was canceled",
                                          "canceled"};
static const struct uq_ending broken = {
    UQ_MEMORY, "the call ended when its step raised an error", NULL};

void uq_call_end(struct uq_call *call, bool good) {
  struct uq_client *c = call->client;
  struct uq_exchange *x = call->exchange;
  call->state = UQ_CALL_ENDED;
  call->client = NULL;
  call->exchange = NULL;
  if (c == NULL)
    return;
  if (x != NULL)
    uq_exchange_release(x);
  uq_schedule_leave(&call->turn);
  if (call->prev != NULL)
    call->prev->next = call->next;
  else
    c->calls = call->next;
  if (call->next != NULL)
    call->next->prev = call->prev;
  call->next = call->prev = NULL;
  if (good)
    c->stats.succeeded++;
  else
    c->stats.failed++;
}

static void end_early(struct uq_call *call, const struct uq_ending *why) {
  if (call->client != NULL)
    call->ended = why;
  uq_call_end(call, false);
}

void uq_call_cancel_all(struct uq_client *c) {
  while (c->calls != NULL)
    end_early(c->calls, &closed);
}

void uq_call_ready(void *owner) {
  struct uq_call *call = owner;
  uq_schedule_ready(&call->client->schedule, &call->turn);
}

static int call_gc(lua_State *L) {
  struct uq_call *call = luaL_checkudata(L, 1, UQ_CALL);
  end_early(call, &canceled);
  uq_answer_free(&call->answer);
  uq_buf_free(&call->scratch);
  uq_buf_free(&call->earlier);
  return 0;
}

/* Pushes a call of the client at idx, not begun, whose peer table is the one at
** the top, and pops that. Raises if the client is closed. */
static struct uq_call *new_call(lua_State *L, int client,
                                const struct uq_endpoint *e,
                                const struct uq_options *o) {
  struct uq_call *call = lua_newuserdata(L, sizeof *call);
  memset(call, 0, sizeof *call);
  call->state = UQ_CALL_ENDED;
  call->ended = &closed;
  luaL_getmetatable(L, UQ_CALL);
  lua_setmetatable(L, -2);
  lua_insert(L, -2);
  uqL_setpeer(L, -2);
  struct uq_client *c = lua_touserdata(L, client);
  if (c->transport == NULL) /* closed meanwhile: see rule 8 */
    luaL_error(L, UQ_CLOSED);
  call->endpoint = e;
  call->options = *o;
  memcpy(call->key, o->idempotency_key, sizeof call->key);
  uq_endpoint_body(o->currency, call->body);
  call->started = uq_clock();
  call->deadline = call->started + o->timeout;
  call->client = call->home = c;
  call->next = c->calls;
  if (c->calls != NULL)
    c->calls->prev = call;
  c->calls = call;
  call->state = UQ_CALL_READY;
  call->id = ++c->stats.calls;
  return call;
}

/* ------------------------------------------------------------------------ */
/* the client's calls together                                               */
/* ------------------------------------------------------------------------ */

/* When the next call's wait is over, or the first of the line is called; below
** 0: nobody waits. */
static double next_wake(const struct uq_client *c) {
  double wake = uq_schedule_wake(&c->schedule);
  if (c->schedule.in_line == 0)
    return wake;
  double due = uq_pace_due(&c->pace, uq_clock(), 0);
  return wake >= 0 && wake < due ? wake : due;
}

/* The calls whose wait is over are ready; the descriptor knows of the next. */
static void advance(struct uq_client *c) {
  double now = uq_clock();
  uq_schedule_advance(&c->schedule, now);
  while (c->schedule.in_line > 0 && uq_pace_call(&c->pace, now))
    uq_schedule_call(&c->schedule);
  uq_transport_alarm(c->transport, next_wake(c));
}

/* After calls went on: those that wait for the descriptor must see what became
** of theirs. */
static void tell_others(struct uq_client *c) {
  if (c->transport == NULL || uq_transport_forked(c->transport))
    return;
  advance(c);
  if (uq_schedule_any(&c->schedule))
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
  return lua_gethook(L) == NULL ||
         (luaL_loadstring(L, "return") == LUA_OK &&
          lua_pcall(L, 0, 0, 0) == LUA_OK);
}

bool uqL_call_wait(lua_State *L, struct uq_client *c, double limit) {
  double end = uq_clock() + limit;
  if (uq_transport_forked(c->transport)) { /* each will say so itself */
    for (struct uq_call *call = c->calls; call != NULL; call = call->next)
      uq_schedule_ready(&c->schedule, &call->turn);
    return true;
  }
  for (;;) {
    bool any = uq_schedule_any(&c->schedule);
    double left = any ? 0 : end - uq_clock();
    step_engine(c, left);
    if (uq_schedule_any(&c->schedule) || left <= 0)
      return uq_schedule_any(&c->schedule);
    if (!run_debug_hook(L))
      lua_error(L);
    if (c->transport == NULL)
      return false;
  }
}

double uq_call_due(const struct uq_client *c) {
  if (uq_schedule_any(&c->schedule))
    return 0;
  double due = uq_transport_due(c->transport);
  double wake = next_wake(c);
  return due < 0 || (wake >= 0 && wake < due) ? wake : due;
}

double uq_call_next(struct uq_client *c) {
  struct uq_turn *turn = uq_schedule_next(&c->schedule);
  return turn == NULL ? 0 : ((struct uq_call *)(void *)turn)->id;
}

int uqL_call_run(lua_State *L, int client, const struct uq_endpoint *e,
                 const struct uq_options *o) {
  uqL_getpeer(L, client);
  struct uq_call *call = new_call(L, client, e, o);
  int idx = lua_gettop(L);
  int results;
  while ((results = uqL_attempt_step(L, idx)) == 0) {
    step_engine(call->client, call->turn.wake - uq_clock());
    if (!run_debug_hook(L)) {
      end_early(call, &canceled);
      lua_error(L);
    }
  }
  tell_others(call->home);
  return results;
}

/* ------------------------------------------------------------------------ */
/* call objects                                                              */
/* ------------------------------------------------------------------------ */

/* Keeps the n results at the top in the peer table of the call at 1. */
static void keep_results(lua_State *L, struct uq_call *call, int n) {
  int last = lua_gettop(L);
  uqL_getpeer(L, 1);
  for (int i = 1; i <= n; i++) {
    lua_pushvalue(L, last - n + i);
    lua_rawseti(L, -2, i);
  }
  call->results = n;
}

/* One step of the call at 1, in protected mode. */
static int step(lua_State *L) {
  struct uq_call *call = lua_touserdata(L, 1);
  int results = uqL_attempt_step(L, 1);
  if (results > 0)
    keep_results(L, call, results);
  return 0;
}

/* Steps the call at idx. True: it has its results. What a step raises, out of
** memory above all, ends the call first. */
static bool step_call(lua_State *L, int idx) {
  struct uq_call *call = lua_touserdata(L, idx);
  if (call->results > 0 || call->busy) /* busy: this is one of its own hooks */
    return call->results > 0;
  lua_pushcfunction(L, step);
  lua_pushvalue(L, idx);
  call->busy = true;
  int status = lua_pcall(L, 1, 0, 0);
  call->busy = false;
  if (status != LUA_OK) {
    end_early(call, &broken);
    lua_error(L);
  }
  return call->results > 0;
}

void uqL_call_start(lua_State *L, int client, const struct uq_endpoint *e,
                    const struct uq_options *o) {
  lua_createtable(L, 3, 1);
  lua_pushvalue(L, client);
  lua_setfield(L, -2, "client");
  struct uq_call *call = new_call(L, client, e, o);
  call->is_object = true;
  step_call(L, lua_gettop(L));
  tell_others(call->home);
}

static struct uq_call *check_call(lua_State *L) {
  return luaL_checkudata(L, 1, UQ_CALL);
}

/* Is the client one that can be stepped? */
static bool is_live(const struct uq_call *call) {
  return call->client != NULL &&
         !uq_transport_forked(call->client->transport);
}

/* call:step() -> is it finished? Never blocks. */
static int call_step(lua_State *L) {
  struct uq_call *call = check_call(L);
  if (is_live(call))
    step_engine(call->client, 0);
  lua_pushboolean(L, step_call(L, 1));
  tell_others(call->home);
  return 1;
}

/* call:done() -> is it finished? Does nothing else. */
static int call_done(lua_State *L) {
  lua_pushboolean(L, check_call(L)->client == NULL);
  return 1;
}

/* call:result() -> what client:balance would have returned. Raises if the call
** is not finished. */
static int call_result(lua_State *L) {
  struct uq_call *call = check_call(L);
  if (call->client != NULL || call->busy || !step_call(L, 1))
    return luaL_error(L, "the call is not finished");
  lua_settop(L, 1);
  uqL_getpeer(L, 1);
  for (int i = 1; i <= call->results; i++)
    lua_rawgeti(L, 2, i);
  return call->results;
}

/* call:cancel(): a call in flight ends with the kind `canceled`. */
static int call_cancel(lua_State *L) {
  end_early(check_call(L), &canceled);
  return 0;
}

/* call:id() -> a number that no other call of the client has. */
static int call_id(lua_State *L) {
  uqL_pushcount(L, check_call(L)->id);
  return 1;
}

/* call:attempts() -> requests sent so far; 0: it waits for the rate limit. */
static int call_attempts(lua_State *L) {
  lua_pushinteger(L, check_call(L)->attempts);
  return 1;
}

/* call:pollfd() -> the client's descriptor; nil: there is none. */
static int call_pollfd(lua_State *L) {
  struct uq_call *call = check_call(L);
  int fd = is_live(call) ? uq_transport_fd(call->client->transport) : -1;
  if (fd >= 0)
    lua_pushinteger(L, fd);
  else
    lua_pushnil(L);
  return 1;
}

/* call:getfd(): the same for LuaSocket, -1 instead of nil. */
static int call_getfd(lua_State *L) {
  struct uq_call *call = check_call(L);
  lua_pushinteger(
      L, is_live(call) ? uq_transport_fd(call->client->transport) : -1);
  return 1;
}

/* call:events() -> "r": what to wait for on the descriptor. */
static int call_events(lua_State *L) {
  check_call(L);
  lua_pushliteral(L, "r");
  return 1;
}

/* Has it something to do now? */
static bool is_ready(const struct uq_call *call) {
  if (!is_live(call) || call->state == UQ_CALL_READY)
    return true;
  if (call->turn.wake <= uq_clock())
    return true;
  if (call->state == UQ_CALL_IN_LINE)
    return !uq_schedule_in_line(&call->turn);
  return call->state == UQ_CALL_IN_FLIGHT && uq_exchange_done(call->exchange);
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
  static const char *const states[] = {"ready", "in flight", "waiting",
                                       "waiting", "finished"};
  struct uq_call *call = check_call(L);
  lua_pushfstring(L, "uqpay.call (%s %s, %s)", call->endpoint->name,
                  call->options.currency, states[call->state]);
  return 1;
}

static const luaL_Reg metamethods[] = {
    {"__gc", call_gc}, {"__tostring", call_tostring}, {NULL, NULL}};

static const luaL_Reg methods[] = {
    {"step", call_step},         {"done", call_done},
    {"result", call_result},     {"cancel", call_cancel},
    {"id", call_id},             {"attempts", call_attempts},
    {"pollfd", call_pollfd},     {"events", call_events},
    {"timeout", call_timeout},   {"getfd", call_getfd},
    {"dirty", call_dirty},       {NULL, NULL}};

void uqL_call_open(lua_State *L) { uqL_class(L, UQ_CALL, metamethods, methods); }
