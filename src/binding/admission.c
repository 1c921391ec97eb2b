/*
** admission.c - see admission.h.
** SPDX-License-Identifier: MIT
*/
#include "binding/admission.h"

#include <math.h>

#include "binding/call_error.h"
#include "binding/client.h"
#include "binding/client_clock.h"
#include "binding/options.h"
#include "binding/shared_limit.h"
#include "engine/policy/rate_limiter.h"
#include "engine/policy/run_queue.h"

#define MAX_DEBT 60.0 /* seconds that the slots of resends reach ahead */

/* The call waits for its slot from now on, if it did not before. */
static void note_wait(struct uq_call *call, double now) {
  if (call->admission.queued == 0)
    call->admission.queued = now;
}

/* True if the call, which has waited for a slot, has run out of time. */
static bool is_late(const struct uq_call *call, double now) {
  return !call->options.queued && call->admission.queued > 0 &&
         now >= call->deadline;
}

/* True if no call is queued before this one. */
static bool is_first(const struct uq_call *call) {
  return call->admission.admitted || call->client->queue.queued == 0;
}

/* No slot now: the call waits in the queue, or fails if that takes too long. */
static enum uq_verdict wait_for_slot(lua_State *L, struct uq_call *call,
                                     double now) {
  struct uq_client *c = call->client;
  bool queued = call->options.queued;
  double when = is_first(call)
                    ? uq_rate_limiter_next(&c->limiter)
                    : uq_rate_limiter_due(&c->limiter, now, c->queue.queued);
  if (is_late(call, now) || (!queued && when >= call->deadline))
    return uqL_call_fail_rate_limited(L, call, false, now, when);
  note_wait(call, now);
  if (call->admission.admitted) /* another call has taken the slot */
    uq_call_enter(call, UQ_CALL_SLOT, when);
  else
    uq_call_enter(call, UQ_CALL_QUEUED, queued ? HUGE_VAL : call->deadline);
  return UQ_WAIT;
}

/* Another process may have announced a pause: then all calls of the client keep
** to it, and the call has no slot any more. */
static void keep_shared_pause(lua_State *L, int idx, struct uq_call *call,
                              double now) {
  double pause = uqL_shared_limit_pause(L, call->client, idx);
  if (uq_call_is_over(call) || !(pause > 0))
    return;
  uq_rate_limiter_pause_shared(&call->client->limiter, now, pause);
  call->admission.shared_slot = false;
}

/* The call has the client's slot; takes one of those that processes share. */
static enum uq_verdict take_shared_slot(lua_State *L, int idx,
                                        struct uq_call *call, double now) {
  double wait;
  double left = call->options.queued ? UQ_TIMEOUT_MAX : call->deadline - now;
  bool in_time = uqL_shared_limit_take(L, call->client, idx, left, &wait);
  if (uq_call_is_over(call))
    return uqL_call_fail_ended(L, call);
  if (!in_time)
    return uqL_call_fail_rate_limited(L, call, false, now, now + wait);
  if (!(wait > 0))
    return UQ_GO;
  note_wait(call, now);
  call->admission.shared_slot = true;
  uq_call_enter(call, UQ_CALL_SLOT, now + wait);
  return UQ_WAIT;
}

/* Takes the client's slot, and then one of the shared ones. */
static enum uq_verdict take_slots(lua_State *L, int idx, struct uq_call *call,
                                  double now) {
  struct uq_client *c = call->client;
  if (call->admission.shared_slot)
    return UQ_GO;
  if (!is_first(call) || is_late(call, now) ||
      !uq_rate_limiter_take(&c->limiter, now))
    return wait_for_slot(L, call, now);
  return c->shared.slots ? take_shared_slot(L, idx, call, now) : UQ_GO;
}

/* The queued call has a slot, or the time of one has come. Waiting for it is no
** part of the call's time. */
static void stop_waiting(struct uq_call *call, double now) {
  if (call->attempt.count == 0) {
    call->started = now;
    call->deadline = now + call->options.timeout;
  } else if (call->admission.queued > 0) {
    call->deadline += now - call->admission.queued;
  }
  call->admission.queued = 0;
}

enum uq_verdict uqL_admission_wait(lua_State *L, int idx,
                                   struct uq_call *call) {
  (void)L, (void)idx;
  double now = uq_client_clock(call->client);
  if (!call->task.due && now < call->task.wake)
    return UQ_WAIT;
  if (call->state == UQ_CALL_QUEUED)
    call->admission.admitted = true;
  if (call->options.queued)
    stop_waiting(call, now);
  call->login.number = 0;
  call->login.begun = false;
  uq_call_enter(call, UQ_CALL_START, 0);
  return UQ_GO;
}

enum uq_verdict uqL_admission(lua_State *L, int idx, struct uq_call *call) {
  struct uq_client *c = call->client;
  double now = uq_client_clock(c);
  bool could_go =
      call->admission.shared_slot || (is_first(call) && !is_late(call, now) &&
                                      uq_rate_limiter_next(&c->limiter) <= now);
  if (could_go && c->shared.pauses)
    keep_shared_pause(L, idx, call, now);
  if (uq_call_is_over(call))
    return uqL_call_fail_ended(L, call);
  enum uq_verdict verdict = take_slots(L, idx, call, now);
  if (verdict != UQ_GO)
    return verdict;
  if (call->options.queued)
    stop_waiting(call, now);
  call->admission.queued = 0;
  call->admission.admitted = call->admission.shared_slot = false;
  return UQ_GO;
}

enum uq_verdict uq_admission_login(struct uq_call *login) {
  struct uq_rate_limiter *limiter = &login->client->login.limiter;
  if (uq_rate_limiter_take(limiter, uq_client_clock(login->client)))
    return UQ_GO;
  uq_call_enter(login, UQ_CALL_SLOT, uq_rate_limiter_next(limiter));
  return UQ_WAIT;
}

void uqL_admission_pay(lua_State *L, int idx, struct uq_call *call) {
  struct uq_client *c = call->client;
  double wait;
  bool shared = c->shared.slots && !call->course->is_login;
  for (int i = 0; shared && i < call->attempt.resends && c->transport != NULL;
       i++)
    (void)uqL_shared_limit_take(L, c, idx, MAX_DEBT, &wait);
}
