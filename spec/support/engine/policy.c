/*
** policy.c - drives src/engine/policy: retries, the run queue, the rate
** limiter.
** SPDX-License-Identifier: MIT
*/
#include "driver.h"

#include "engine/policy/rate_limiter.h"
#include "engine/policy/retry.h"
#include "engine/policy/run_queue.h"

#define RUN_QUEUE "engine.run_queue" /* metatables */
#define RATE_LIMITER "engine.rate_limiter"

/* ---- retry -------------------------------------------------------------- */

static double number_in(lua_State *L, int table, const char *name) {
  lua_getfield(L, table, name);
  double value = (double)lua_tonumber(L, -1); /* 0 for nil */
  lua_pop(L, 1);
  return value;
}

static bool flag_in(lua_State *L, int table, const char *name) {
  lua_getfield(L, table, name);
  bool value = lua_toboolean(L, -1) != 0;
  lua_pop(L, 1);
  return value;
}

static struct uq_failure to_failure(lua_State *L, int table) {
  struct uq_failure f;
  luaL_checktype(L, table, LUA_TTABLE);
  f.status = (int)number_in(L, table, "status");
  f.outcome_unknown = flag_in(L, table, "outcome_unknown");
  f.processing = flag_in(L, table, "processing");
  f.token_refused = flag_in(L, table, "token_refused");
  f.retry_after = number_in(L, table, "retry_after");
  return f;
}

/* engine.retryable { status=, outcome_unknown=, processing=, ... } */
static int retryable(lua_State *L) {
  struct uq_failure f = to_failure(L, 1);
  lua_pushboolean(L, uq_retryable(&f));
  return 1;
}

/* engine.retry({ max_retries=, delay=, delay_max= }, failure, attempt, now,
** deadline, chance) -> again, wait, stopped */
static int retry(lua_State *L) {
  struct uq_failure f = to_failure(L, 2);
  struct uq_retry_policy policy;
  luaL_checktype(L, 1, LUA_TTABLE);
  policy.max_retries = (int)number_in(L, 1, "max_retries");
  policy.delay = number_in(L, 1, "delay");
  policy.delay_max = number_in(L, 1, "delay_max");
  struct uq_retry verdict = uq_retry_decide(
      &policy, &f, (int)luaL_checkinteger(L, 3), luaL_checknumber(L, 4),
      luaL_checknumber(L, 5), luaL_checknumber(L, 6));
  lua_pushboolean(L, verdict.again);
  lua_pushnumber(L, verdict.wait);
  lua_pushstring(L, verdict.stopped); /* nil for NULL */
  return 3;
}

/* ---- run queue ---------------------------------------------------------- */

#define TASKS 64 /* of a run queue, numbered from 1 */

struct numbered_tasks {
  struct uq_run_queue queue;
  struct uq_task tasks[TASKS];
};

static int run_queue_new(lua_State *L) {
  struct numbered_tasks *t = engine_object(L, sizeof *t, RUN_QUEUE);
  uq_run_queue_init(&t->queue);
  return 1;
}

static struct uq_run_queue *to_run_queue(lua_State *L) {
  struct numbered_tasks *t = luaL_checkudata(L, 1, RUN_QUEUE);
  return &t->queue;
}

static struct uq_task *to_task(lua_State *L) {
  struct numbered_tasks *t = luaL_checkudata(L, 1, RUN_QUEUE);
  int number = (int)luaL_checkinteger(L, 2);
  luaL_argcheck(L, number >= 1 && number <= TASKS, 2, "no such task");
  return &t->tasks[number - 1];
}

/* queue:wait(task, wake) */
static int run_queue_wait(lua_State *L) {
  uq_run_queue_wait(to_run_queue(L), to_task(L), luaL_checknumber(L, 3));
  return 0;
}

/* queue:make_ready(task) */
static int run_queue_make_ready(lua_State *L) {
  uq_run_queue_ready(to_run_queue(L), to_task(L));
  return 0;
}

/* queue:leave(task) */
static int run_queue_leave(lua_State *L) {
  uq_run_queue_leave(to_run_queue(L), to_task(L));
  return 0;
}

/* queue:advance(now) */
static int run_queue_advance(lua_State *L) {
  uq_run_queue_advance(to_run_queue(L), luaL_checknumber(L, 2));
  return 0;
}

/* queue:next() -> the task's number, or nil */
static int run_queue_next(lua_State *L) {
  struct numbered_tasks *t = luaL_checkudata(L, 1, RUN_QUEUE);
  struct uq_task *task = uq_run_queue_next(&t->queue);
  if (task == NULL)
    lua_pushnil(L);
  else
    lua_pushinteger(L, task - t->tasks + 1);
  return 1;
}

/* queue:has_ready() */
static int run_queue_has_ready(lua_State *L) {
  lua_pushboolean(L, uq_run_queue_has_ready(to_run_queue(L)));
  return 1;
}

/* queue:wake() -> when, or below 0 */
static int run_queue_wake(lua_State *L) {
  lua_pushnumber(L, uq_run_queue_wake(to_run_queue(L)));
  return 1;
}

static const luaL_Reg run_queue_methods[] = {
    {"wait", run_queue_wait},   {"make_ready", run_queue_make_ready},
    {"leave", run_queue_leave}, {"advance", run_queue_advance},
    {"next", run_queue_next},   {"has_ready", run_queue_has_ready},
    {"wake", run_queue_wake},   {NULL, NULL}};

/* ---- rate limiter ------------------------------------------------------- */

/* engine.rate_limiter(limit) */
static int limiter_new(lua_State *L) {
  double limit = luaL_checknumber(L, 1);
  struct uq_rate_limiter *p = engine_object(L, sizeof *p, RATE_LIMITER);
  uq_rate_limiter_init(p, limit);
  return 1;
}

static struct uq_rate_limiter *to_limiter(lua_State *L) {
  return luaL_checkudata(L, 1, RATE_LIMITER);
}

/* limiter:next() */
static int limiter_next(lua_State *L) {
  lua_pushnumber(L, uq_rate_limiter_next(to_limiter(L)));
  return 1;
}

/* limiter:take(now), limiter:admit(now), limiter:worth_waiting(now) */
static int limiter_take(lua_State *L) {
  lua_pushboolean(L,
                  uq_rate_limiter_take(to_limiter(L), luaL_checknumber(L, 2)));
  return 1;
}

static int limiter_admit(lua_State *L) {
  lua_pushboolean(L,
                  uq_rate_limiter_admit(to_limiter(L), luaL_checknumber(L, 2)));
  return 1;
}

static int limiter_worth_waiting(lua_State *L) {
  lua_pushboolean(
      L, uq_rate_limiter_worth_waiting(to_limiter(L), luaL_checknumber(L, 2)));
  return 1;
}

/* limiter:charge(now, slots) */
static int limiter_charge(lua_State *L) {
  uq_rate_limiter_charge(to_limiter(L), luaL_checknumber(L, 2),
                         (int)luaL_checkinteger(L, 3));
  return 0;
}

/* limiter:due(now, others) */
static int limiter_due(lua_State *L) {
  lua_pushnumber(L, uq_rate_limiter_due(to_limiter(L), luaL_checknumber(L, 2),
                                        luaL_checknumber(L, 3)));
  return 1;
}

/* limiter:refused(now, sent) -> in a row */
static int limiter_refused(lua_State *L) {
  lua_pushinteger(L,
                  uq_rate_limiter_refused(to_limiter(L), luaL_checknumber(L, 2),
                                          luaL_checknumber(L, 3)));
  return 1;
}

/* limiter:pause(now, pause) */
static int limiter_pause(lua_State *L) {
  uq_rate_limiter_pause(to_limiter(L), luaL_checknumber(L, 2),
                        luaL_checknumber(L, 3));
  return 0;
}

/* limiter:accepted(now, sent) */
static int limiter_accepted(lua_State *L) {
  uq_rate_limiter_accepted(to_limiter(L), luaL_checknumber(L, 2),
                           luaL_checknumber(L, 3));
  return 0;
}

/* limiter:pause_shared(now, pause) */
static int limiter_pause_shared(lua_State *L) {
  uq_rate_limiter_pause_shared(to_limiter(L), luaL_checknumber(L, 2),
                               luaL_checknumber(L, 3));
  return 0;
}

static const luaL_Reg limiter_methods[] = {
    {"next", limiter_next},
    {"take", limiter_take},
    {"admit", limiter_admit},
    {"due", limiter_due},
    {"worth_waiting", limiter_worth_waiting},
    {"refused", limiter_refused},
    {"pause", limiter_pause},
    {"accepted", limiter_accepted},
    {"charge", limiter_charge},
    {"pause_shared", limiter_pause_shared},
    {NULL, NULL}};

static const luaL_Reg functions[] = {{"retryable", retryable},
                                     {"retry", retry},
                                     {"run_queue", run_queue_new},
                                     {"rate_limiter", limiter_new},
                                     {NULL, NULL}};

void engine_open_policy(lua_State *L) {
  engine_class(L, RUN_QUEUE, NULL, run_queue_methods);
  engine_class(L, RATE_LIMITER, NULL, limiter_methods);
  uqL_setfuncs(L, functions);
}
