/*
** attempt.c - see attempt.h.
** SPDX-License-Identifier: MIT
*/
#include "binding/attempt.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "binding/admission.h"
#include "binding/call_error.h"
#include "binding/client.h"
#include "binding/error.h"
#include "binding/hook.h"
#include "binding/reclaim.h"
#include "binding/response.h"
#include "engine/policy/sent_keys.h"
#include "binding/token.h"
#include "binding/token_store.h"
#include "engine/base/clock.h"
#include "engine/policy/rate_limiter.h"
#include "engine/policy/retry.h"

/* Seconds for the engine to notice a deadline by itself. */
#define GRACE 0.1

/* Seconds that the others wait for one's Retry-After: limits are a minute's. */
#define MAX_PAUSE 60.0

const char uq_no_answer[] = "no answer";

/* ------------------------------------------------------------------------ */
/* a request                                                                 */
/* ------------------------------------------------------------------------ */

/* True if the call is about to use a caller's own key for the first time. */
static bool is_first_use(const struct uq_call *call) {
  return call->attempt.count == 0 && call->options.idempotency_key[0] != '\0';
}

/* True if the key must not be sent (again). */
static bool is_key_spent(const struct uq_call *call) {
  return is_first_use(call) && !call->options.allow_key_reuse &&
         uq_sent_keys_have(&call->client->sent_keys, call->key);
}

static enum uq_verdict fail_spent(lua_State *L, struct uq_call *call) {
  return uqL_call_fail_with(
      L, call, UQ_IDEMPOTENCY,
      "this idempotency_key was used before: the answer would be the stored "
      "one, up to 24 hours old (allow_key_reuse asks for just that)");
}

/* Whole milliseconds, rounded up: 0 would mean "no limit" to the engine. */
static long to_ms(double seconds) { return (long)ceil(seconds * 1000); }

/* Seconds of silence after which the connection of an attempt may be given up
** and the request sent again: its share of the call's time. 0: not at all. */
static double patience(const struct uq_call *call) {
  if (call->attempt.resent || call->options.max_retries == 0)
    return 0;
  double left = call->is_login ? call->client->options.timeout
                               : call->deadline - call->attempt.begun;
  return left / 3;
}

static enum uq_buf_status fill_headers(struct uq_call *call) {
  const struct uq_client *c = call->client;
  struct uq_headers headers = {.user_agent = c->options.user_agent,
                               .key = call->key,
                               .on_behalf_of = call->options.on_behalf_of,
                               .body = call->body[0] != '\0'};
  if (call->is_login) {
    headers.client_id = c->options.client_id;
    headers.api_key = c->api_key.data;
  } else {
    headers.token = c->token.text.data;
  }
  return uq_endpoint_headers(uq_transfer_headers(call->transfer), &headers);
}

/* False: out of memory. */
static bool start_transfer(struct uq_call *call) {
  struct uq_client *c = call->client;
  char url[UQ_URL_MAX];
  call->transfer = uq_transfer_acquire(c->transport);
  if (call->transfer == NULL || fill_headers(call) != UQ_BUF_OK)
    return false;
  uq_endpoint_url(call->endpoint, c->options.base_url, call->query, url);
  struct uq_request request = {
      .owner = call,
      .url = url,
      .body = call->endpoint->method[0] == 'P' ? call->body : NULL,
      /* a login may be left alone: its answer may have come long ago */
      .timeout_ms = call->is_login
                        ? 0
                        : to_ms(call->attempt.end - call->attempt.begun),
      .connect_timeout_ms = to_ms(call->options.connect_timeout),
      .silence = patience(call),
      .fresh = call->attempt.fresh,
      .endpoint = (int)(call->endpoint - uq_endpoints),
      .max_response_bytes = (size_t)call->options.max_response_bytes,
      .crowd = call->is_object};
  call->attempt.serial = c->token.serial;
  if (!call->is_login)
    call->login.number = 0;
  call->login.failures = 0;
  call->login.begun = false;
  uq_transfer_start(call->transfer, &request);
  return true;
}

/* When a call in flight is late. libcurl keeps no time for a request that waits
** for a connection, nor for a login. */
static double flight_end(const struct uq_call *call) {
  return call->attempt.end + (call->is_login ? 0 : GRACE);
}

static enum uq_verdict send_request(lua_State *L, struct uq_call *call) {
  call->attempt.resends = 0;
  uq_call_enter(call, UQ_CALL_IN_FLIGHT, flight_end(call)); /* it may be over
                                                               at once */
  if (!start_transfer(call))
    return uqL_call_fail_with(L, call, UQ_MEMORY, "not enough memory");
  return UQ_WAIT;
}

enum uq_verdict uqL_attempt_ask_token(lua_State *L, int idx,
                                      struct uq_call *call) {
  const char *need =
      call->token.asked ? NULL : uq_token_need(&call->client->token);
  if (need == NULL)
    return UQ_GO;
  call->token.asked = true;
  bool asked = uqL_token_ask(L, idx, call->client, need);
  if (uq_call_is_over(call))
    return uqL_call_fail_ended(L, call);
  if (!asked)
    return uqL_call_fail_with(L, call, UQ_AUTH, lua_tostring(L, -1));
  return UQ_GO;
}

/* Sees to the token, the key and the hook. */
static enum uq_verdict prepare(lua_State *L, int idx, struct uq_call *call) {
  enum uq_verdict verdict = uqL_attempt_ask_token(L, idx, call);
  if (verdict != UQ_GO)
    return verdict;
  bool keyed = call->endpoint->params == NULL;
  if (keyed && call->key[0] == '\0' && !uq_uuid_v4(call->key))
    return uqL_call_fail_with(L, call, UQ_CONFIG,
                              "the system gives no random bytes for a key");
  if (call->client->hooks.request)
    uqL_hook_request(L, idx);
  if (uq_call_is_over(call))
    return uqL_call_fail_ended(L, call);
  if (call->client->token.text.len == 0 && !call->is_login)
    return uqL_call_fail_with(L, call, UQ_AUTH,
                              "the token was dropped before it could be sent");
  return UQ_GO;
}

static void count_attempt(struct uq_call *call) {
  struct uq_stats *stats = &call->client->stats;
  call->attempt.count++;
  if (!call->is_login)
    stats->attempts++;
  else if (call->attempt.count == 1)
    stats->logins++;
}

enum uq_verdict uqL_attempt_begin(lua_State *L, int idx,
                                  struct uq_call *call) {
  struct uq_client *c = call->client;
  if (is_key_spent(call))
    return fail_spent(L, call);
  enum uq_verdict verdict = prepare(L, idx, call);
  if (verdict != UQ_GO)
    return verdict;
  if (uq_transport_forked(c->transport))
    return uqL_call_fail_forked(L, call);
  call->attempt.begun = uq_clock();
  if (call->attempt.begun >= call->deadline)
    return uqL_call_fail_late(L, call, uq_no_answer, call->endpoint);
  call->attempt.end = call->is_login
                          ? call->attempt.begun + call->login.limit
                          : call->deadline;
  if (is_key_spent(call)) /* by a call that a hook has made */
    return fail_spent(L, call);
  if (is_first_use(call))
    uq_sent_keys_add(&c->sent_keys, call->key);
  count_attempt(call);
  call->attempt.reclaimed = false;
  return send_request(L, call);
}

/* ------------------------------------------------------------------------ */
/* a failed attempt                                                          */
/* ------------------------------------------------------------------------ */

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
** one before it, a token that was never accepted fell to another program's
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
  c->login.after = uq_clock() + wait;
}

/* Calls the token function for another token, once a call. True: there is one.
** The error table at the top may be replaced by one that says why not. */
static bool renew_by_function(lua_State *L, int idx, struct uq_call *call) {
  struct uq_client *c = call->client;
  int table = lua_gettop(L);
  call->token.asked = true;
  bool asked = uqL_token_ask(L, idx, c, "rejected");
  if (!asked && !uq_call_is_over(call)) {
    uqL_error_new(L, UQ_AUTH);
    lua_getfield(L, table, "status");
    lua_setfield(L, -2, "status");
    lua_replace(L, table);
  }
  lua_settop(L, table);
  return asked && !uq_call_is_over(call) &&
         c->token.serial != call->attempt.serial;
}

/* The token was refused; the error table is at the top. True if there is
** another one now, or a login will get one in time. If not, `stopped` says why
** no further login is made; NULL: none could be. */
static struct uq_retry renew_token(lua_State *L, int idx,
                                   struct uq_call *call) {
  static const struct uq_retry renewed = {true, 0, NULL},
                               none = {false, 0, NULL};
  struct uq_client *c = call->client;
  bool login = c->api_key.len > 0;
  if (call->is_login || (!login && !c->token.function))
    return none;
  if (login && c->token.serial == call->attempt.serial)
    drop_token(call);
  int most =
      login && call->options.max_retries > 1 ? call->options.max_retries : 1;
  if (call->token.renewals == most)
    return login ? (struct uq_retry){false, 0, "max_retries"} : none;
  call->token.renewals++;
  if (c->token.serial != call->attempt.serial) /* another call has renewed it */
    return renewed;
  if (login && c->login.after >= call->deadline)
    return (struct uq_retry){false, 0, "deadline"};
  return login || renew_by_function(L, idx, call) ? renewed : none;
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

/* What retrying this failure comes to, by the call's options. `pause`: the
** client's back-off. A queued call that was answered 429 queues again, as often
** as need be; the pause does not count against its timeout. */
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
  bool asks = call->course->may_retry != NULL; /* which is asked below */
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
static struct uq_retry next_attempt(lua_State *L, int idx,
                                    struct uq_call *call,
                                    const struct uq_failure *f,
                                    bool *renewed) {
  struct uq_retry retry = {false, 0, NULL};
  if (f->token_refused)
    retry = renew_token(L, idx, call);
  *renewed = retry.again;
  if (uq_call_is_over(call))
    return retry;
  bool again = resend(call);
  if (retry.stopped != NULL) {
    note_refused_token(L, call);
  } else if (again) {
    retry.again = true;
  } else if (!*renewed) {
    double now = uq_clock();
    double pause = f->status == 429 ? slow_down(call, f, now) : 0;
    retry = decide(call, f, pause, now);
    if (pause > 0 && call->client->shared.pauses && !call->is_login)
      uqL_token_store_hold(L, call->client, idx, pause);
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
static enum uq_verdict after_failure(lua_State *L, int idx,
                                     struct uq_call *call,
                                     const struct uq_failure *f) {
  bool renewed;
  struct uq_retry retry = next_attempt(L, idx, call, f, &renewed);
  if (uq_call_is_over(call))
    return uqL_call_fail(L, call, call->ended->stopped);
  if (!retry.again)
    return uqL_call_fail(L, call, retry.stopped);
  if (!call->is_login)
    call->client->stats.retries++;
  if (call->client->hooks.retry)
    uqL_hook_retry(L, idx, retry.wait);
  if (uq_call_is_over(call))
    return uqL_call_fail(L, call, call->ended->stopped);
  if (call->course->retries != NULL)
    call->course->retries(L, idx);
  keep_for_next(call, f, renewed);
  uq_call_enter(call, UQ_CALL_BACKOFF, uq_clock() + retry.wait);
  lua_pop(L, 1); /* the error table */
  return UQ_WAIT;
}

/* ------------------------------------------------------------------------ */
/* a response                                                                */
/* ------------------------------------------------------------------------ */

/* Nothing could be sent for lack of descriptors: the attempt goes on after a
** collection, once. False: it cannot; the call may be over now. */
static bool reclaim(lua_State *L, struct uq_call *call) {
  struct uq_client *c = call->client;
  int error = call->response.os_errno;
  if (call->attempt.reclaimed || (error != EMFILE && error != ENFILE))
    return false;
  call->attempt.reclaimed = true;
  (void)uqL_reclaim(L, c);
  if (uq_call_is_over(call) || uq_transport_forked(c->transport) ||
      (c->token.text.len == 0 && !call->is_login))
    return false;
  call->attempt.begun = uq_clock();
  return call->attempt.begun < call->deadline;
}

/* Keeps the body of the response in the user value of the call object. */
static void keep_text(lua_State *L, int idx, const struct uq_call *call) {
  const struct uq_buf *body = &call->response.body;
  uqL_get_user_value(L, idx);
  lua_pushlstring(L, body->data, body->len);
  lua_setfield(L, -2, "text");
  lua_pop(L, 1);
}

/* What others learn of the response, decoded: rate limiter, token, login. */
static void note_response(struct uq_call *call, bool good,
                          const struct uq_failure *f) {
  struct uq_client *c = call->client;
  c->stats.connections += (double)call->response.connects;
  if (call->course->responded != NULL)
    call->course->responded(call, good);
  if (good && !call->is_login)
    uq_token_accepted(&c->token, call->attempt.serial);
  if (good || (f->status != 0 && f->status != 429))
    uq_rate_limiter_accepted(uq_call_limiter(call), uq_clock(),
                             call->attempt.begun);
}

/* Decodes the response; at the top: the result, or the error table. */
static bool decode(lua_State *L, int idx, struct uq_call *call,
                   struct uq_failure *f) {
  const struct uq_options *o = &call->client->options;
  struct uq_response_context context = {
      .endpoint = call->endpoint,
      .query = call->query,
      .currency = call->options.currency,
      .ca_file = o->ca_file != NULL ? o->ca_file : o->ca_path,
      .amounts = call->options.amounts,
      .secrets = {uq_endpoint_secret(&call->response.sent),
                  uq_endpoint_secret(&call->earlier)},
      .scratch = &call->scratch,
      .token = call->is_login ? &call->login.token : NULL};
  bool good = uqL_response_decode(L, &context, &call->response, f);
  note_response(call, good, f);
  if (good && call->keep_text)
    keep_text(L, idx, call);
  if (good)
    uq_call_end(call, true);
  if (call->client->hooks.response)
    uqL_hook_response(L, idx, good, &context.secrets);
  return good;
}

/* The transfer is finished. */
static enum uq_verdict finish_attempt(lua_State *L, int idx,
                                      struct uq_call *call) {
  struct uq_transfer *transfer = call->transfer;
  struct uq_failure f;
  enum uq_verdict verdict = UQ_RESULTS;
  call->transfer = NULL;
  uq_transfer_take(transfer, &call->response); /* the call's only: rule 8 */
  if (reclaim(L, call)) {
    uq_response_free(&call->response);
    return send_request(L, call);
  }
  call->pushed = 1;
  if (!decode(L, idx, call, &f))
    verdict = uq_call_is_over(call)
                  ? uqL_call_fail(L, call, call->ended->stopped)
                  : after_failure(L, idx, call, &f);
  uq_response_free(&call->response);
  uq_buf_free(&call->scratch);
  if (uq_call_is_over(call))
    uq_buf_free(&call->earlier);
  uqL_admission_pay(L, idx, call);
  return verdict;
}

void uq_attempt_look(const struct uq_call *call) {
  if (call->state == UQ_CALL_IN_FLIGHT && call->transfer != NULL &&
      !uq_transfer_done(call->transfer))
    uq_transport_step(call->client->transport, 0, -1);
}

enum uq_verdict uqL_attempt_in_flight(lua_State *L, int idx,
                                      struct uq_call *call) {
  bool late = uq_clock() >= flight_end(call);
  if (late && call->is_login) { /* left alone, its answer may be unread */
    uq_attempt_look(call);
    if (!uq_transfer_done(call->transfer))
      uq_transfer_expire(call->transfer);
  }
  uq_call_count_resends(call);
  if (uq_transfer_done(call->transfer))
    return finish_attempt(L, idx, call);
  return late ? uqL_call_fail_late(L, call, uq_no_answer, call->endpoint)
              : UQ_WAIT;
}
