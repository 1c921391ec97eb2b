/*
** calls.c - see calls.h.
** SPDX-License-Identifier: MIT
*/
#include "binding/calls.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#include "binding/client.h"
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
  call->started = uq_clock();
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
  uq_rate_limiter_charge(uq_call_limiter(call), uq_clock(), more);
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
  double due = uq_rate_limiter_due(&c->limiter, uq_clock(), 0);
  return wake >= 0 && wake < due ? wake : due;
}

static void advance(struct uq_client *c) {
  double now = uq_clock();
  uq_run_queue_advance(&c->queue, now);
  while (c->queue.queued > 0 && uq_rate_limiter_admit(&c->limiter, now))
    uq_run_queue_admit(&c->queue);
  report_login(c);
}

void uq_calls_step(struct uq_client *c, double limit) {
  if (limit > SLICE)
    limit = SLICE;
  uq_transport_step(c->transport, limit > 0 ? uq_milliseconds(limit) : 0,
                    next_wake(c));
  advance(c);
}

void uq_calls_publish(struct uq_client *c, bool notify) {
  if (c->transport == NULL || uq_transport_forked(c->transport))
    return;
  advance(c);
  bool due =
      uq_run_queue_has_ready(&c->queue) || uq_run_queue_has_passed(&c->queue);
  uq_transport_publish(c->transport, next_wake(c), notify && due);
}

bool uqL_calls_debug_hook(lua_State *L) {
  return lua_gethook(L) == NULL || (luaL_loadstring(L, "return") == LUA_OK &&
                                    lua_pcall(L, 0, 0, 0) == LUA_OK);
}

/* In a forked child each call is due, to report that itself. */
static bool wake_all(struct uq_client *c) {
  for (struct uq_call *call = c->calls; call != NULL; call = call->next)
    uq_run_queue_ready(&c->queue, &call->task);
  return c->calls != NULL;
}

bool uqL_calls_wait(lua_State *L, struct uq_client *c, double limit) {
  double end = uq_clock() + limit;
  for (;;) {
    if (uq_transport_forked(c->transport)) /* before us, or by a debug hook */
      return wake_all(c);
    bool ready = uq_run_queue_has_ready(&c->queue);
    double left = ready ? 0 : end - uq_clock();
    uq_calls_step(c, left);
    if (uq_run_queue_has_ready(&c->queue) || left <= 0)
      return uq_run_queue_has_ready(&c->queue);
    if (!uqL_calls_debug_hook(L)) {
      uq_calls_publish(c, false);
      lua_error(L);
    }
    if (c->transport == NULL)
      return false;
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
  double now = uq_clock(), wake = next_wake(c);
  double idle = uq_transport_idle(c->transport, now);
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
