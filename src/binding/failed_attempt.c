/*
** failed_attempt.c - see failed_attempt.h.
** SPDX-License-Identifier: MIT
*/
#include "binding/failed_attempt.h"

#include <math.h>
#include <stdint.h>

#include "binding/call_error.h"
#include "binding/client.h"
#include "binding/client_clock.h"
#include "binding/error.h"
#include "binding/hook.h"
#include "binding/options.h"
#include "binding/shared_limit.h"
#include "binding/token.h"
#include "engine/base/buf.h"
#include "engine/base/error_kind.h"
#include "engine/base/uuid.h"
#include "engine/http/transfer.h"
#include "engine/policy/rate_limiter.h"
#include "engine/policy/retry.h"

/* Longest back-off of a client, in seconds: the API's limits are per minute. */
#define MAX_PAUSE 60.0

/* A random number in [0, 1); without randomness, one half. */
static double chance(void) {
  uint32_t bits;
  return uq_random(&bits, sizeof bits) ? (double)bits / 4294967296.0 : 0.5;
}

static struct uq_retry_policy policy_of(const struct uq_call *call) {
  const struct uq_options *o = &call->options;
  return (struct uq_retry_policy){o->max_retries, o->retry_delay,
                                  o->retry_delay_max};
}

/* The token that the call was sent with was refused. Where a new token ends the
** one before it, a token that was never accepted was ended by another program's
** login: the next login of this client waits for a moment, or the two would end
** each other's tokens forever. */
static void drop_token(const struct uq_call *call) {
  struct uq_client *c = call->client;
  struct uq_retry_policy policy = policy_of(call);
  if (c->token.text.len == 0)
    return;
  uq_token_drop(&c->token);
  if (c->token.accepted || c->token.from_store)
    return;
  double wait = uq_retry_wait(&policy, (int)++c->token.refusals, chance());
  c->login.after = uq_client_clock(c) + wait;
}

static const struct uq_retry at_once = {true, 0, NULL};
static const struct uq_retry not_renewed = {false, 0, NULL};

/* True if the client has another token than the one that was refused. */
static bool has_other_token(const struct uq_call *call) {
  return call->client->token.serial != call->attempt.serial;
}

/* A login will get another token, if that is in time. */
static struct uq_retry renew_by_login(struct uq_call *call) {
  struct uq_client *c = call->client;
  int most = call->options.max_retries > 1 ? call->options.max_retries : 1;
  if (!has_other_token(call))
    drop_token(call);
  if (call->token.renewals == most)
    return (struct uq_retry){false, 0, "max_retries"};
  call->token.renewals++;
  if (!has_other_token(call) && c->login.after >= call->deadline)
    return (struct uq_retry){false, 0, "deadline"};
  return at_once;
}

/* Calls the token function for another token. True: there is one. The error
** table at the top may be replaced by one that says why not. */
static bool call_function(lua_State *L, int idx, struct uq_call *call) {
  int table = lua_gettop(L);
  call->token.asked = true;
  bool asked = uqL_token_ask(L, idx, call->client, "rejected");
  if (!asked && !uq_call_is_over(call)) {
    uqL_error_new(L, UQ_AUTH);
    lua_getfield(L, table, "status");
    lua_setfield(L, -2, "status");
    lua_replace(L, table);
  }
  lua_settop(L, table);
  return asked && !uq_call_is_over(call) && has_other_token(call);
}

/* The token function may give another token, once a call. */
static struct uq_retry renew_by_function(lua_State *L, int idx,
                                         struct uq_call *call) {
  if (call->token.renewals++ > 0)
    return not_renewed;
  return has_other_token(call) || call_function(L, idx, call) ? at_once
                                                              : not_renewed;
}

/* The token was refused; the error table is at the top. If there is no other,
** `stopped` says why no further login is made; NULL: none could be. */
static struct uq_retry renew_token(lua_State *L, int idx,
                                   struct uq_call *call) {
  const struct uq_client *c = call->client;
  if (call->course->is_login)
    return not_renewed;
  if (c->api_key.len > 0)
    return renew_by_login(call);
  return c->token.function ? renew_by_function(L, idx, call) : not_renewed;
}

/* The call ends since its token was refused, though logins have given others:
** the error table at the top says that the next one may be good. */
static void note_refused_token(lua_State *L, const struct uq_call *call) {
  lua_pushboolean(L, 1);
  lua_setfield(L, -2, "retryable");
  if (!call->client->store.given)
    uqL_error_append_message(
        L, "; if other processes log in with these credentials, their logins "
           "may end this one's tokens: share one by token_store");
}

/* HTTP 429: throttles the whole client. Returns the back-off in seconds. */
static double slow_down(struct uq_call *call, const struct uq_failure *f,
                        double now) {
  struct uq_retry_policy policy = policy_of(call);
  struct uq_rate_limiter *limiter = uq_call_limiter(call);
  int row = uq_rate_limiter_refused(limiter, now, call->attempt.begun);
  double pause = f->retry_after;
  if (pause == 0 && row > 0)
    pause = uq_retry_wait(&policy, row, chance());
  if (pause > MAX_PAUSE)
    pause = MAX_PAUSE;
  if (pause > 0)
    uq_rate_limiter_pause(limiter, now, pause);
  return pause;
}

/* Decides on a retry by the call's options. `pause`: the client's back-off. A
** queued call that was answered 429 queues again, as often as need be; the
** pause does not count against its timeout. */
static struct uq_retry decide(struct uq_call *call, const struct uq_failure *f,
                              double pause, double now) {
  struct uq_retry_policy policy = policy_of(call);
  if (f->status == 429 && call->options.queued &&
      uq_rate_limiter_worth_waiting(&call->client->limiter, now)) {
    call->deadline += pause;
    return (struct uq_retry){true, pause, NULL};
  }
  int attempt = f->never_sent ? 1 : ++call->retries;
  bool slow = f->processing && call->attempt.resent; /* its connection was not
                                                        dead */
  bool asks = call->course->may_retry != NULL;       /* which is asked below */
  if (asks || f->never_sent || slow)
    policy.max_retries = attempt;
  struct uq_retry retry =
      uq_retry_decide(&policy, f, attempt, now, call->deadline, chance());
  if (!asks || !retry.again)
    return retry;
  retry.wait = fmin(retry.wait, MAX_PAUSE);
  if (!call->course->may_retry(call, now + retry.wait))
    return (struct uq_retry){false, 0, "max_retries"};
  return retry;
}

/* True if the attempt goes out again at once, since its connection was dead. */
static bool resend(struct uq_call *call) {
  const struct uq_response *r = &call->response;
  bool again = r->dead && !call->attempt.resent;
  call->attempt.resent |= again;
  call->attempt.fresh = r->fresh && (again || !r->dead);
  return again;
}

/* What comes after the failure whose error table is at the top. The call may be
** over afterwards. */
static struct uq_retry next_attempt(lua_State *L, int idx, struct uq_call *call,
                                    const struct uq_failure *f, bool *renewed) {
  struct uq_retry retry =
      f->token_refused ? renew_token(L, idx, call) : not_renewed;
  *renewed = retry.again;
  if (uq_call_is_over(call))
    return retry;
  bool again = resend(call);
  if (retry.stopped != NULL) {
    note_refused_token(L, call);
  } else if (again) {
    retry.again = true;
  } else if (!*renewed) {
    double now = uq_client_clock(call->client);
    double pause = f->status == 429 ? slow_down(call, f, now) : 0;
    retry = decide(call, f, pause, now);
    if (pause > 0 && call->client->shared.pauses && !call->course->is_login)
      uqL_shared_limit_announce(L, call->client, idx, pause);
  }
  return retry;
}

/* Keeps of a failed attempt what the next one needs: its headers, since the
** next answer may be the one to this attempt, stored under the same key; and
** that key, unless a definite answer is stored under it. */
static void keep_for_next(struct uq_call *call, const struct uq_failure *f,
                          bool renewed) {
  if (renewed || (f->outcome_unknown && call->earlier.data == NULL)) {
    uq_buf_free(&call->earlier);
    call->earlier = call->response.sent;
    uq_buf_init(&call->response.sent, 0);
  }
  if (call->options.idempotency_key[0] == '\0' && !f->outcome_unknown)
    call->key[0] = '\0';
}

/* The error table of the failed attempt is at the top. */
enum uq_verdict uqL_failed_attempt(lua_State *L, int idx, struct uq_call *call,
                                   const struct uq_failure *f) {
  bool renewed;
  struct uq_retry retry = next_attempt(L, idx, call, f, &renewed);
  if (uq_call_is_over(call))
    return uqL_call_fail(L, call, call->ended->stopped);
  if (!retry.again)
    return uqL_call_fail(L, call, retry.stopped);
  if (!call->course->is_login)
    call->client->stats.retries++;
  if (call->client->hooks.retry)
    uqL_hook_retry(L, idx, retry.wait);
  if (uq_call_is_over(call))
    return uqL_call_fail(L, call, call->ended->stopped);
  if (call->course->retries != NULL)
    call->course->retries(L, idx);
  keep_for_next(call, f, renewed);
  uq_call_enter(call, UQ_CALL_BACKOFF,
                uq_client_clock(call->client) + retry.wait);
  lua_pop(L, 1); /* the error table */
  return UQ_WAIT;
}
