/*
** calls.c - see calls.h.
** SPDX-License-Identifier: MIT
*/
#include "binding/calls.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#include "binding/auxlib.h"
#include "binding/client.h"
#include "binding/client_clock.h"
#include "binding/compat.h"
#include "binding/reclaim.h"
#include "engine/base/clock.h"
#include "engine/http/transport.h"
#include "engine/policy/rate_limiter.h"

/* Seconds, the longest wait in one piece: a signal that came just before it
** would go unseen for so long. */
#define SLICE 0.25

const struct uq_ending uq_ending_closed = {UQ_CANCELED, "the client was closed",
                                           "closed"};
const struct uq_ending uq_ending_canceled = {
    UQ_CANCELED, "the call was canceled", "canceled"};
const struct uq_ending uq_ending_starved = {
    UQ_MEMORY, "not enough memory to finish the call", NULL};
const struct uq_ending uq_ending_broken = {
    UQ_CANCELED, "an error was raised in a step of the call", "canceled"};

/* ------------------------------------------------------------------------ */
/* one call                                                                  */
/* ------------------------------------------------------------------------ */

void uq_call_init(struct uq_call *call) {
  memset(call, 0, sizeof *call);
  call->state = UQ_CALL_ENDED;
  call->ended = &uq_ending_closed;
}

struct uq_call *uqL_call_push(lua_State *L) {
  struct uq_call *call = lua_newuserdata(L, sizeof *call);
  uq_call_init(call);
  luaL_getmetatable(L, UQ_CALL);
  lua_setmetatable(L, -2);
  lua_insert(L, -2);
  uqL_set_user_value(L, -2);
  return call;
}

struct uq_call *uqL_call_push_object(lua_State *L, int client) {
  lua_createtable(L, 3, 2);
  lua_insert(L, -2);
  lua_setfield(L, -2, "query");
  lua_pushvalue(L, client);
  lua_setfield(L, -2, "client");
  return uqL_call_push(L);
}

bool uq_call_begin(struct uq_call *call, struct uq_client *c,
                   const struct uq_course *course, const struct uq_endpoint *e,
                   const char *query, const struct uq_options *o) {
  if (c->transport == NULL)
    return false;
  call->course = course;
  call->endpoint = e;
  call->query = query;
  call->options = *o;
  memcpy(call->key, o->idempotency_key, sizeof call->key);
  if (e->params == NULL)
    uq_endpoint_body(o->currency, call->body);
  call->started = uq_client_clock(c);
  call->deadline = call->started + o->timeout;
  call->client = c;
  call->next = c->calls;
  if (c->calls != NULL)
    c->calls->prev = call;
  c->calls = call;
  call->ended = NULL;
  call->task.id = ++c->ids;
  call->state = UQ_CALL_START;
  return true;
}

void uq_call_enter(struct uq_call *call, enum uq_call_state state,
                   double until) {
  struct uq_run_queue *q = &call->client->queue;
  call->state = state;
  switch (state) {
  case UQ_CALL_START:
  case UQ_CALL_RENEWAL:
  case UQ_CALL_ADMISSION:
  case UQ_CALL_ENDED:
    uq_run_queue_leave(q, &call->task);
    break;
  case UQ_CALL_QUEUED:
    uq_run_queue_enqueue(q, &call->task, until);
    break;
  default:
    uq_run_queue_wait(q, &call->task, until);
  }
}

void uq_call_set_custom(struct uq_call *call, enum uq_custom_state state) {
  int *served = &call->client->custom.served;
  if (call->custom.state == UQ_CUSTOM_SERVED)
    --*served;
  if (state == UQ_CUSTOM_SERVED)
    ++*served;
  call->custom.state = state;
}

static void unlink_call(struct uq_call *call) {
  if (call->prev != NULL)
    call->prev->next = call->next;
  else
    call->client->calls = call->next;
  if (call->next != NULL)
    call->next->prev = call->prev;
  call->next = call->prev = NULL;
}

void uq_call_end(struct uq_call *call, bool good) {
  struct uq_transfer *transfer = call->transfer;
  if (uq_call_is_over(call))
    return;
  uq_call_count_resends(call);
  uq_call_enter(call, UQ_CALL_ENDED, HUGE_VAL);
  unlink_call(call);
  if (call->custom.state != UQ_CUSTOM_NONE) {
    uq_call_set_custom(call, UQ_CUSTOM_NONE);
    uq_response_free(&call->response);
  }
  if (call->response.sent.data == NULL) /* else it is needed for decoding */
    uq_buf_free(&call->earlier);
  call->transfer = NULL;
  if (transfer != NULL)
    uq_transfer_release(transfer);
  if (call->course->is_login)
    return;
  if (good)
    call->client->stats.succeeded++;
  else
    call->client->stats.failed++;
}

/* The results of a call that ended by itself may be lost: then this is why. */
void uq_call_stop(struct uq_call *call, const struct uq_ending *why) {
  if (!uq_call_is_over(call) || call->ended == NULL)
    call->ended = why;
  uq_call_end(call, false);
}

bool uq_call_is_over(const struct uq_call *call) {
  return call->state == UQ_CALL_ENDED;
}

bool uq_call_is_due(const struct uq_call *call) {
  return uq_call_is_over(call) || call->task.due ||
         call->state == UQ_CALL_START ||
         uq_transport_forked(call->client->transport);
}

void uq_calls_login_over(struct uq_client *c) {
  for (struct uq_call *call = c->calls; call != NULL; call = call->next) {
    if (call->state == UQ_CALL_TOKEN)
      uq_run_queue_ready(&c->queue, &call->task);
  }
}

/* A login's task is not reported: the calls that wait for the login are due
** instead, and step it. If none waits, the next one that needs a token will. */
static void report_login(struct uq_client *c) {
  struct uq_call *login = c->login.call;
  if (login != NULL && uq_run_queue_report(&login->task))
    uq_calls_login_over(c);
}

void uq_call_done(void *owner) {
  struct uq_call *call = owner;
  uq_run_queue_ready(&call->client->queue, &call->task);
  if (call->course->is_login)
    report_login(call->client);
}

void uq_call_forget(struct uq_call *call) {
  uq_response_free(&call->response);
  uq_buf_free(&call->scratch);
  uq_buf_free(&call->earlier);
  uq_buf_free(&call->login.token);
}

struct uq_rate_limiter *uq_call_limiter(const struct uq_call *call) {
  struct uq_client *c = call->client;
  return call->course->is_login ? &c->login.limiter : &c->limiter;
}

void uq_call_count_resends(struct uq_call *call) {
  struct uq_client *c = call->client;
  if (uq_call_is_over(call) || call->transfer == NULL)
    return;
  int more = uq_transfer_resends(call->transfer) - call->attempt.resends;
  if (more == 0)
    return;
  call->attempt.resends += more;
  call->attempt.count += more;
  if (!call->course->is_login)
    c->stats.attempts += more;
  uq_rate_limiter_charge(uq_call_limiter(call), uq_client_clock(c), more);
}

/* ------------------------------------------------------------------------ */
/* all calls of a client                                                     */
/* ------------------------------------------------------------------------ */

void uq_calls_close(struct uq_client *c) {
  while (c->calls != NULL)
    uq_call_stop(c->calls, &uq_ending_closed);
}

bool uq_calls_want_login(const struct uq_client *c,
                         const struct uq_call *except) {
  const struct uq_call *call = c->calls;
  while (call != NULL && (call->state != UQ_CALL_TOKEN || call == except))
    call = call->next;
  return call != NULL;
}

/* When a call is due without an event; below 0: never. */
static double next_wake(const struct uq_client *c) {
  double wake = uq_run_queue_wake(&c->queue);
  if (c->queue.queued == 0)
    return wake;
  double due = uq_rate_limiter_due(&c->limiter, uq_client_clock(c), 0);
  return wake >= 0 && wake < due ? wake : due;
}

static void advance(struct uq_client *c) {
  double now = uq_client_clock(c);
  uq_run_queue_advance(&c->queue, now);
  while (c->queue.queued > 0 && uq_rate_limiter_admit(&c->limiter, now))
    uq_run_queue_admit(&c->queue);
  report_login(c);
}

/* Steps the transport, which does not know the program's clock. */
static void step_transport(struct uq_client *c, double limit) {
  double wake = c->clock.given ? -1 : next_wake(c);
  if (limit > SLICE)
    limit = SLICE;
  uq_transport_step(c->transport, limit > 0 ? uq_milliseconds(limit) : 0, wake);
  advance(c);
}

void uq_calls_step(struct uq_client *c) { step_transport(c, 0); }

/* True if a debug hook has raised nothing. */
static bool run_debug_hook(lua_State *L) {
  return lua_gethook(L) == NULL || (luaL_loadstring(L, "return") == LUA_OK &&
                                    lua_pcall(L, 0, 0, 0) == LUA_OK);
}

/* When the next wait of a call is over by the program's clock, at most `limit`
** seconds from now; 0: there is no such time, or the program has no clock. */
static double end_of_wait(const struct uq_client *c, double limit) {
  if (!c->clock.given)
    return 0;
  double now = uq_client_clock(c), wake = next_wake(c), end = now + limit;
  if (wake >= 0 && wake < end)
    end = fmax(wake, now);
  return end < HUGE_VAL ? end : 0;
}

/* sleep_until(client or call, end) */
static int sleep_until(lua_State *L) {
  uqL_client_user_value(L, 1);
  lua_getfield(L, -1, "client");
  struct uq_client *c = lua_touserdata(L, -1);
  uqL_client_clock_sleep(L, c, 1, (double)lua_tonumber(L, 2));
  if (c->transport != NULL)
    advance(c);
  return 0;
}

/* Calls sleep_until. False: pushes what was raised. */
static bool try_sleep(lua_State *L, int idx, double end) {
  lua_pushcfunction(L, sleep_until);
  lua_pushvalue(L, idx);
  lua_pushnumber(L, end);
  return lua_pcall(L, 2, 0, 0) == LUA_OK;
}

/* Under the program's clock nothing but time can end the wait: no coroutine of
** the program runs until it is over. */
bool uqL_calls_step(lua_State *L, struct uq_client *c, int idx, double limit) {
  double end = limit > 0 ? end_of_wait(c, limit) : 0;
  if (end == 0)
    step_transport(c, limit);
  else if (!try_sleep(L, idx, end))
    return false;
  return run_debug_hook(L);
}

/* True if the program has the clock, and the calls wait for time only. */
static bool wait_for_time(const struct uq_client *c) {
  return c->custom.served == 0 && !uq_run_queue_has_ready(&c->queue) &&
         end_of_wait(c, HUGE_VAL) != 0;
}

void uqL_calls_pass_time(lua_State *L, struct uq_client *c, int idx) {
  if (wait_for_time(c) && !try_sleep(L, idx, end_of_wait(c, HUGE_VAL)))
    lua_error(L);
}

void uq_calls_publish(struct uq_client *c, bool notify) {
  if (c->transport == NULL || uq_transport_forked(c->transport))
    return;
  advance(c);
  bool due =
      uq_run_queue_has_ready(&c->queue) || uq_run_queue_has_passed(&c->queue);
  uq_transport_publish(c->transport, c->clock.given ? -1 : next_wake(c),
                       (notify && due) ||
                           (c->clock.notifies && wait_for_time(c)));
}

void uq_calls_notify_of_time(struct uq_client *c) {
  c->clock.notifies = true;
  uq_calls_publish(c, false);
}

/* In a forked child each call is due, to report that itself. */
static bool wake_all(struct uq_client *c) {
  for (struct uq_call *call = c->calls; call != NULL; call = call->next)
    uq_run_queue_ready(&c->queue, &call->task);
  return c->calls != NULL;
}

bool uqL_calls_wait(lua_State *L, struct uq_client *c, int idx, double limit) {
  double end = uq_client_clock(c) + limit;
  for (;;) {
    if (uq_transport_forked(c->transport)) /* before us, or by a debug hook */
      return wake_all(c);
    bool ready = uq_run_queue_has_ready(&c->queue);
    double left = ready ? 0 : end - uq_client_clock(c);
    if (left <= 0) {
      uq_calls_step(c);
      return uq_run_queue_has_ready(&c->queue);
    }
    if (!uqL_calls_step(L, c, idx, left)) {
      uq_calls_publish(c, true);
      lua_error(L);
    }
    if (c->transport == NULL)
      return false;
    if (uq_run_queue_has_ready(&c->queue))
      return true;
  }
}

static int get_fd(struct uq_client *c) {
  if (c->transport == NULL || uq_transport_forked(c->transport))
    return -1;
  int fd = uq_transport_fd(c->transport);
  uq_calls_publish(c, true);
  return fd;
}

int uqL_calls_fd(lua_State *L, struct uq_client *c) {
  int fd = get_fd(c);
  if (fd < 0 && !uq_transport_forked(c->transport) && uqL_reclaim(L, c))
    fd = get_fd(c);
  return fd;
}

double uq_calls_due(const struct uq_client *c) {
  if (uq_transport_forked(c->transport))
    return c->calls != NULL ? 0 : -1;
  if (uq_run_queue_has_ready(&c->queue))
    return 0;
  double due = uq_transport_due(c->transport);
  double wake = next_wake(c);
  return due < 0 || (wake >= 0 && wake < due) ? wake : due;
}

double uq_calls_idle(const struct uq_client *c) {
  if (uq_transport_forked(c->transport) || uq_run_queue_has_ready(&c->queue))
    return 0;
  double now = uq_client_clock(c), wake = next_wake(c);
  double idle =
      c->clock.given ? HUGE_VAL : uq_transport_idle(c->transport, now);
  if (wake >= 0)
    idle = fmin(idle, wake - now);
  return idle < HUGE_VAL ? idle : 0;
}

void uq_calls_pass(struct uq_client *c, double id) {
  for (struct uq_call *call = c->calls; call != NULL; call = call->next) {
    if (call->task.id == id)
      uq_run_queue_pass(&c->queue, &call->task);
  }
  uq_calls_publish(c, true);
}

void uq_calls_recall(struct uq_client *c) {
  for (struct uq_call *call = c->calls; call != NULL; call = call->next)
    uq_run_queue_recall(&c->queue, &call->task);
  uq_calls_publish(c, true);
}

struct uq_call *uq_call_of(struct uq_task *task) {
  return (struct uq_call *)(void *)((char *)task -
                                    offsetof(struct uq_call, task));
}

double uq_calls_next(struct uq_client *c) {
  const struct uq_task *task = uq_run_queue_next(&c->queue);
  return task != NULL ? task->id : 0;
}
