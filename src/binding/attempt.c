/*
** attempt.c - the course of a call: a turn under the rate limit, a token, an
** exchange, the judgement, and again. A state machine that never waits.
**
** Keys: a fresh one for each attempt, but the same one while the outcome of
** the last attempt is unknown; the API replays a stored answer, a failure's
** too, for a key that it has seen. A caller's own key is never changed.
** SPDX-License-Identifier: MIT
*/
#include "binding/attempt.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "binding/call.h"
#include "binding/client.h"
#include "binding/compat.h"
#include "binding/error.h"
#include "binding/hook.h"
#include "binding/login.h"
#include "binding/options.h"
#include "binding/reclaim.h"
#include "binding/response.h"
#include "binding/token.h"
#include "binding/token_store.h"
#include "engine/api/endpoint.h"
#include "engine/base/ascii.h"
#include "engine/base/buf.h"
#include "engine/base/clock.h"
#include "engine/base/error_kind.h"
#include "engine/base/uuid.h"
#include "engine/http/transport.h"
#include "engine/number/number.h"
#include "engine/policy/rate_limiter.h"
#include "engine/policy/retry.h"
#include "engine/policy/run_queue.h"

/* Seconds that the others wait for one's Retry-After: limits are a minute's. */
#define MAX_PAUSE 60.0

#define MAX_DEBT 60.0 /* seconds that the turns of resends reach ahead */

static struct uq_call *to_call(lua_State *L, int idx) {
  return lua_touserdata(L, idx);
}

/* ------------------------------------------------------------------------ */
/* the end                                                                   */
/* ------------------------------------------------------------------------ */

/* Adds to the message at which host, after how many attempts and in which of
** its requests the error was met. At the top: the error table. */
static void add_context(lua_State *L, const struct uq_call *call) {
  lua_getfield(L, -1, "message");
  lua_getfield(L, -2, "request_id");
  const char *id = lua_tostring(L, -1);
  lua_pushfstring(L, "%s [%s, %d attempt%s%s%s]", lua_tostring(L, -2),
                  call->home->host, call->attempts,
                  call->attempts == 1 ? "" : "s",
                  id != NULL ? ", request " : "", id != NULL ? id : "");
  lua_setfield(L, -4, "message");
  lua_pop(L, 2);
}

/* Completes the error table at the top, whose message needs no context. */
static void complete(lua_State *L, const struct uq_call *call,
                     const char *stopped) {
  uqL_error_set_string(L, "retry_stopped", stopped);
  lua_getfield(L, -1, "endpoint"); /* a login's error has it already */
  bool named = !lua_isnil(L, -1);
  lua_pop(L, 1);
  if (!named)
    uqL_error_set_string(L, "endpoint", call->endpoint->name);
  uqL_error_set_string(L, "idempotency_key", call->key);
  uqL_error_set_string(L, "on_behalf_of", call->options.on_behalf_of);
  lua_pushinteger(L, call->attempts);
  lua_setfield(L, -2, "attempts");
  lua_pushnumber(L, uq_clock() - call->started);
  lua_setfield(L, -2, "elapsed");
  lua_getfield(L, -1, "retryable");
  lua_pushboolean(L, lua_toboolean(L, -1)); /* nil: an error of our own */
  lua_setfield(L, -3, "retryable");
  lua_pop(L, 1);
}

/* The same, and ends the call with it. */
static int end_with(lua_State *L, struct uq_call *call, const char *stopped) {
  complete(L, call, stopped);
  uq_call_end(call, false);
  return uqL_error_push_failure(L);
}

/* Completes the error table at the top and ends the call with it. */
static int fail(lua_State *L, struct uq_call *call, const char *stopped) {
  add_context(L, call);
  return end_with(L, call, stopped);
}

/* Ends the call with an error of our own. */
static int fail_with(lua_State *L, struct uq_call *call, enum uq_kind kind,
                     const char *message) {
  lua_pushstring(L, message);
  uqL_error_new(L, kind);
  return fail(L, call, NULL);
}

/* The call was ended by somebody else, its client's end at the latest. */
static int fail_ended(lua_State *L, struct uq_call *call) {
  lua_pushstring(L, call->ended->message);
  uqL_error_new(L, call->ended->kind);
  return fail(L, call, call->ended->stopped);
}

static int fail_forked(lua_State *L, struct uq_call *call) {
  return fail_with(L, call, UQ_FORKED,
                   "this client was made before a fork, by the parent process: "
                   "make one in the child");
}

static const char no_answer[] = "no answer";

/* endpoint: the request that was waited for. */
static int fail_late(lua_State *L, struct uq_call *call, const char *what,
                     const struct uq_endpoint *endpoint) {
  char timeout[UQ_NUMBER_TEXT];
  uq_number_text(call->options.timeout, 15, timeout);
  lua_pushfstring(L, "%s within the timeout of %s s", what, timeout);
  uqL_error_new(L, UQ_TIMEOUT);
  lua_pushboolean(L, 1);
  lua_setfield(L, -2, "retryable");
  uqL_error_set_string(L, "endpoint", endpoint->name);
  return fail(L, call, "deadline");
}

/* A rate limit lets the call, or the login that it waits for, go at `when`,
** which is too late. */
static int fail_rate_limited(lua_State *L, struct uq_call *call, bool login,
                             double now, double when) {
  const struct uq_client *c = call->client;
  double wait = when > now ? when - now : 0;
  bool held = (login ? &c->login.limiter : &c->limiter)->held > now;
  char soonest[UQ_NUMBER_TEXT], timeout[UQ_NUMBER_TEXT];
  uq_number_text(wait, 3, soonest);
  uq_number_text(call->options.timeout, 15, timeout);
  lua_pushfstring(
      L, "%s%s: the %s could go in %s s, and the call has a timeout of %s s",
      login ? UQ_LOGIN_FAILED_TEXT : "",
      held    ? "the server has told the client to slow down (429)"
      : login ? "the client's limit of logins is used up"
              : "the client's rate_limit is used up",
      login ? "login" : "call", soonest, timeout);
  uqL_error_new(L, UQ_RATE_LIMIT);
  lua_pushboolean(L, 1);
  lua_setfield(L, -2, "retryable");
  lua_pushnumber(L, wait);
  lua_setfield(L, -2, "retry_after");
  uqL_error_set_string(L, "endpoint",
                       (login ? UQ_ENDPOINT_TOKEN : call->endpoint)->name);
  return fail(L, call, "deadline");
}

/* ------------------------------------------------------------------------ */
/* keys                                                                      */
/* ------------------------------------------------------------------------ */

/* Has the client sent this key of a caller's, not so long ago? */
static bool key_was_sent(const struct uq_client *c, const char *key) {
  for (size_t i = 0; i < UQ_KEYS_REMEMBERED; i++) {
    if (c->keys[i][0] != '\0' && uq_begins(key, strlen(key), c->keys[i]))
      return true;
  }
  return false;
}

static void remember_key(struct uq_client *c, const char *key) {
  char *kept = c->keys[c->next_key];
  for (size_t i = 0; i <= UQ_UUID_LEN; i++)
    kept[i] = uq_lower(key[i]);
  c->next_key = (c->next_key + 1) % UQ_KEYS_REMEMBERED;
}

/* Is it the first use of a caller's own key by this call? */
static bool is_first_use(const struct uq_call *call) {
  return call->attempts == 0 && call->options.idempotency_key[0] != '\0';
}

/* Must the key not be sent (again)? */
static bool is_key_spent(const struct uq_call *call) {
  return is_first_use(call) && !call->options.allow_key_reuse &&
         key_was_sent(call->client, call->key);
}

static int fail_spent(lua_State *L, struct uq_call *call) {
  return fail_with(L, call, UQ_IDEMPOTENCY,
                   "this idempotency_key was used before: the answer would be "
                   "the stored one, up to 24 hours old (allow_key_reuse asks "
                   "for just that)");
}

/* ------------------------------------------------------------------------ */
/* attempts                                                                  */
/* ------------------------------------------------------------------------ */

/* Whole milliseconds, rounded up: 0 would mean "no limit" to the engine. */
static long to_ms(double seconds) { return (long)ceil(seconds * 1000); }

/* Seconds of silence after which the connection of an attempt may be given up
** and the request sent again: its share of the call's time. 0: not at all. */
static double patience(const struct uq_call *call) {
  if (call->resent || call->options.max_retries == 0)
    return 0;
  double left = call->is_login ? call->home->options.timeout
                               : call->deadline - call->attempted;
  return left / 3;
}

static bool start_exchange(struct uq_call *call) {
  struct uq_client *c = call->client;
  struct uq_request request;
  char url[UQ_URL_MAX];
  call->exchange = uq_transfer_acquire(c->transport);
  if (call->exchange == NULL)
    return false;
  struct uq_headers headers = {
      c->options.user_agent, NULL,      NULL,
      c->token.text.data,         call->key, call->options.on_behalf_of,
      call->body[0] != '\0'};
  if (call->is_login) {
    headers.client_id = c->options.client_id;
    headers.api_key = c->api_key.data;
    headers.token = NULL;
  }
  if (uq_endpoint_headers(uq_transfer_headers(call->exchange), &headers) !=
      UQ_BUF_OK)
    return false;
  uq_endpoint_url(call->endpoint, c->options.base_url, call->query, url);
  request.owner = call;
  request.url = url;
  request.body = call->endpoint->method[0] == 'P' ? call->body : NULL;
  request.timeout_ms =
      call->is_login ? 0 : to_ms(call->attempt_end - call->attempted);
  request.silence = patience(call);
  request.fresh = call->fresh;
  request.endpoint = (int)(call->endpoint - uq_endpoints);
  request.connect_timeout_ms = to_ms(call->options.connect_timeout);
  request.max_response_bytes = (size_t)call->options.max_response_bytes;
  request.crowd = call->is_object && !call->is_login;
  call->token_serial = c->token.serial;
  if (!call->is_login)
    call->login = 0;
  call->login_failures = 0;
  call->login_begun = false;
  uq_transfer_start(call->exchange, &request);
  return true;
}

/* Asks the token function if there is a need. 0, or the results of a call that
** ends here. */
static int ask_token(lua_State *L, int idx) {
  struct uq_call *call = to_call(L, idx);
  const char *need = call->token_asked ? NULL : uq_token_need(call->client);
  if (need != NULL) {
    call->token_asked = true;
    bool asked = uqL_token_ask(L, idx, call->client, need);
    if (call->client == NULL)
      return fail_ended(L, call);
    if (!asked)
      return fail_with(L, call, UQ_AUTH, lua_tostring(L, -1));
  }
  return 0;
}

/* Sees to the token, the key and the hook. 0, or the results of a call that
** ends here. */
static int before_attempt(lua_State *L, int idx) {
  struct uq_call *call = to_call(L, idx);
  int results = ask_token(L, idx);
  if (results > 0)
    return results;
  bool keyed = call->endpoint->params == NULL;
  if (keyed && call->key[0] == '\0' && !uq_uuid_v4(call->key))
    return fail_with(L, call, UQ_CONFIG,
                     "the system gives no random bytes for a key");
  if (call->client->hooks.request)
    uqL_hook_request(L, idx);
  if (call->client == NULL)
    return fail_ended(L, call);
  if (call->client->token.text.len == 0 && !call->is_login)
    return fail_with(L, call, UQ_AUTH,
                     "the token was dropped before it could be sent");
  return 0;
}

/* When a call in flight is late. libcurl keeps no time for one that waits for
** a connection, nor for a login, which may be left alone: its answer may have
** come long ago. */
static double flight_end(const struct uq_call *call) {
  return call->attempt_end + (call->is_login ? 0 : UQ_GRACE);
}

static bool is_late(const struct uq_call *call) {
  return uq_clock() >= flight_end(call);
}

/* Sends the attempt: 0, or the results of a call that ends here. */
static int send_attempt(lua_State *L, struct uq_call *call) {
  struct uq_client *c = call->client;
  call->state = UQ_CALL_IN_FLIGHT; /* it may be over at once */
  call->resends = 0;
  call->turn.wake = call->attempted;
  if (!start_exchange(call))
    return fail_with(L, call, UQ_MEMORY, "not enough memory");
  if (!call->is_login && !uq_transfer_done(call->exchange))
    uq_run_queue_wait(&c->queue, &call->turn, flight_end(call));
  return 0;
}

void uq_attempt_count_resends(struct uq_call *call) {
  struct uq_client *c = call->client;
  if (c == NULL || call->exchange == NULL)
    return;
  int more = uq_transfer_resends(call->exchange) - call->resends;
  if (more == 0)
    return;
  call->resends += more;
  call->attempts += more;
  if (!call->is_login)
    c->stats.attempts += more;
  uq_rate_limiter_charge(uq_attempt_rate_limiter(call, c), uq_clock(), more);
}

/* Takes as many of the turns that processes share: the attempt is over. */
static void pay_for_resends(lua_State *L, int idx) {
  struct uq_call *call = to_call(L, idx);
  struct uq_client *c = call->home;
  double wait;
  bool shared = c->shared.slots && !call->is_login;
  for (int i = 0; shared && i < call->resends && c->transport != NULL; i++)
    (void)uqL_token_store_turn(L, c, idx, MAX_DEBT, &wait);
}

/* Begins an attempt: 0, or the results of a call that ends here. */
static int begin_attempt(lua_State *L, int idx) {
  struct uq_call *call = to_call(L, idx);
  struct uq_client *c = call->client;
  if (is_key_spent(call))
    return fail_spent(L, call);
  int results = before_attempt(L, idx);
  if (results > 0)
    return results;
  if (uq_transport_forked(c->transport))
    return fail_forked(L, call);
  call->attempted = uq_clock();
  if (call->attempted >= call->deadline)
    return fail_late(L, call, no_answer, call->endpoint);
  call->attempt_end =
      call->is_login ? call->attempted + uq_login_limit(c) : call->deadline;
  if (is_key_spent(call)) /* by a call that a hook has made */
    return fail_spent(L, call);
  if (is_first_use(call) && !key_was_sent(c, call->key))
    remember_key(c, call->key);
  call->attempts++;
  if (!call->is_login)
    c->stats.attempts++;
  else if (call->attempts == 1)
    c->stats.logins++;
  call->resumed = false;
  return send_attempt(L, call);
}

/* Nothing could be sent for lack of descriptors: the attempt goes on after a
** collection, once. False: it cannot; the call may be ended now. */
static bool resume(lua_State *L, struct uq_call *call) {
  struct uq_client *c = call->client;
  int error = call->answer.os_errno;
  if (call->resumed || (error != EMFILE && error != ENFILE))
    return false;
  call->resumed = true;
  (void)uqL_reclaim(L, c);
  if (call->client == NULL || uq_transport_forked(c->transport) ||
      (c->token.text.len == 0 && !call->is_login))
    return false;
  call->attempted = uq_clock();
  return call->attempted < call->deadline;
}

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

/* The token that the call was sent with is over. Where a new one ends the one
** before it, a token that was never accepted fell to another program's login:
** the next login of this client waits for a moment, or both would go on so. */
static void drop_token(const struct uq_call *call) {
  struct uq_client *c = call->client;
  struct uq_retry_policy policy = policy_of(call);
  if (c->token.text.len == 0)
    return;
  uq_token_drop(c);
  if (c->token.accepted || c->token.from_store)
    return;
  double wait = uq_retry_wait(&policy, (int)++c->token.refusals, chance());
  c->login.after = uq_clock() + wait;
}

/* Calls the token function for another token, once a call. True: there is one.
** The error table at the top may give way to one that says why not. */
static bool renew_by_function(lua_State *L, int idx) {
  struct uq_call *call = to_call(L, idx);
  struct uq_client *c = call->client;
  int table = lua_gettop(L);
  call->token_asked = true;
  bool asked = uqL_token_ask(L, idx, c, "rejected");
  if (!asked && call->client != NULL) {
    uqL_error_new(L, UQ_AUTH);
    lua_getfield(L, table, "status");
    lua_setfield(L, -2, "status");
    lua_replace(L, table);
  }
  lua_settop(L, table);
  return asked && call->client != NULL && c->token.serial != call->token_serial;
}

/* The token was refused; the error table is at the top. Is there another one
** now, or will a login get one in time? If not, `stopped` says why no further
** login is made; NULL: none could be. */
static struct uq_retry renew_token(lua_State *L, int idx) {
  static const struct uq_retry renewed = {true, 0, NULL},
                               none = {false, 0, NULL};
  struct uq_call *call = to_call(L, idx);
  struct uq_client *c = call->client;
  bool login = c->api_key.len > 0;
  if (call->is_login || (!login && !c->token.function))
    return none;
  if (login && c->token.serial == call->token_serial)
    drop_token(call);
  int most =
      login && call->options.max_retries > 1 ? call->options.max_retries : 1;
  if (call->renewals == most)
    return login ? (struct uq_retry){false, 0, "max_retries"} : none;
  call->renewals++;
  if (c->token.serial != call->token_serial) /* another call has renewed it */
    return renewed;
  if (login && c->login.after >= call->deadline)
    return (struct uq_retry){false, 0, "deadline"};
  return login || renew_by_function(L, idx) ? renewed : none;
}

/* The call ends since its token was refused, though logins have given others:
** the error table at the top says that the next one may be good. */
static void note_refused_token(lua_State *L, const struct uq_call *call) {
  lua_pushboolean(L, 1);
  lua_setfield(L, -2, "retryable");
  if (!call->home->store.given)
    uqL_error_append_message(
        L, "; if other processes log in with these credentials, their "
           "logins may end this one's tokens: share one by "
           "token_store");
}

struct uq_rate_limiter *uq_attempt_rate_limiter(const struct uq_call *call,
                                                struct uq_client *c) {
  return call->is_login ? &c->login.limiter : &c->limiter;
}

/* Waits for the moment, if that is not past. Nobody steps a login for its own
** sake: those who wait for it know when. */
static void wait_until(struct uq_call *call, enum uq_wait what, double wake) {
  call->state = UQ_CALL_WAITING;
  call->waits_for = what;
  call->turn.wake = wake;
  if (!call->is_login)
    uq_run_queue_wait(&call->client->queue, &call->turn, wake);
}

/* The server has refused for haste: that concerns every call of the client.
** Gives the pause that it makes. */
static double slow_down(struct uq_call *call, const struct uq_failure *f,
                        const struct uq_retry_policy *policy, double now) {
  struct uq_rate_limiter *pace = uq_attempt_rate_limiter(call, call->client);
  int row = uq_rate_limiter_refused(pace, now, call->attempted);
  double pause = f->retry_after;
  if (pause == 0 && row > 0)
    pause = uq_retry_wait(policy, row, chance());
  if (pause > MAX_PAUSE)
    pause = MAX_PAUSE;
  if (pause > 0)
    uq_rate_limiter_pause(pace, now, pause);
  return pause;
}

/* A queued call that was refused for haste queues again, as often as need be;
** its time stands still meanwhile. *pause: seconds for all calls of the client.
*/
static struct uq_retry decide(struct uq_call *call, const struct uq_failure *f,
                              double *pause) {
  const struct uq_options *o = &call->options;
  struct uq_retry_policy policy = policy_of(call);
  double now = uq_clock();
  if (f->status == 429) {
    *pause = slow_down(call, f, &policy, now);
    if (o->queued && uq_rate_limiter_worth_waiting(&call->client->limiter, now)) {
      call->deadline += *pause;
      return (struct uq_retry){true, *pause, NULL};
    }
  }
  int attempt = f->unsent ? 1 : ++call->retries;
  bool slow = f->processing && call->resent; /* its connection was not dead */
  if (call->is_login || f->unsent || slow)   /* a login's waiters decide */
    policy.max_retries = attempt;
  struct uq_retry verdict =
      uq_retry_decide(&policy, f, attempt, now, call->deadline, chance());
  if (!call->is_login || !verdict.again)
    return verdict;
  verdict.wait = fmin(verdict.wait, MAX_PAUSE);
  if (!uq_login_wanted(call, now + verdict.wait))
    return (struct uq_retry){false, 0, "max_retries"};
  return verdict;
}

/* An attempt has failed; its error table is at the top. */
static int after_failure(lua_State *L, int idx, const struct uq_failure *f) {
  struct uq_call *call = to_call(L, idx);
  struct uq_retry verdict = {false, 0, NULL};
  double pause = 0;
  if (f->token_refused)
    verdict = renew_token(L, idx);
  bool renewed = verdict.again;
  if (call->client == NULL)
    return fail(L, call, call->ended->stopped);
  bool resend = call->answer.dead && !call->resent;
  call->resent |= resend;
  call->fresh = call->answer.fresh && (resend || !call->answer.dead);
  if (verdict.stopped != NULL)
    note_refused_token(L, call);
  else if (resend)
    verdict.again = true;
  else if (!renewed)
    verdict = decide(call, f, &pause);
  if (pause > 0 && call->client->shared.pauses && !call->is_login)
    uqL_token_store_hold(L, call->client, idx, pause);
  if (call->client == NULL)
    return fail(L, call, call->ended->stopped);
  if (!verdict.again)
    return fail(L, call, verdict.stopped);
  if (!call->is_login)
    call->home->stats.retries++;
  if (call->client->hooks.retry)
    uqL_hook_retry(L, idx, verdict.wait);
  if (call->client == NULL)
    return fail(L, call, call->ended->stopped);
  if (call->is_login) {
    add_context(L, call);
    complete(L, call, NULL);
    uqL_login_keep_error(L, idx);
  }
  /* what comes next may be the answer to this one, stored under the same key */
  if (renewed || (f->lost && call->earlier.data == NULL)) {
    uq_buf_free(&call->earlier);
    call->earlier = call->answer.sent;
    uq_buf_init(&call->answer.sent, 0);
  }
  if (call->options.idempotency_key[0] == '\0' && !f->lost)
    call->key[0] = '\0'; /* a definite answer is stored under the old one */
  wait_until(call, UQ_WAIT_RETRY, uq_clock() + verdict.wait);
  lua_pop(L, 1); /* the error table */
  return 0;
}

/* Keeps the body of the answer in the peer table of the call object. */
static void keep_text(lua_State *L, int idx) {
  const struct uq_buf *body = &to_call(L, idx)->answer.body;
  uqL_get_user_value(L, idx);
  lua_pushlstring(L, body->data, body->len);
  lua_setfield(L, -2, "text");
  lua_pop(L, 1);
}

/* The exchange is finished. */
static int settle(lua_State *L, int idx) {
  struct uq_call *call = to_call(L, idx);
  const struct uq_options *o = &call->home->options;
  struct uq_transfer *x = call->exchange;
  struct uq_failure f;
  int results = 1;
  call->exchange = NULL;
  uq_transfer_take(x, &call->answer); /* it is the call's alone: see rule 8 */
  if (resume(L, call)) {
    uq_response_done(&call->answer, call->client->transport);
    return send_attempt(L, call);
  }
  call->home->stats.connections += (double)call->answer.connects;
  struct uq_response_context q = {call->endpoint,
                                  call->query,
                                  call->options.currency,
                                  o->ca_file != NULL ? o->ca_file : o->ca_path,
                                  call->options.amounts,
                                  {uq_endpoint_secret(&call->answer.sent),
                                   uq_endpoint_secret(&call->earlier)},
                                  &call->scratch,
                                  call->is_login ? &call->token : NULL};
  bool good = uqL_response_decode(L, &q, &call->answer, &f);
  if (call->is_login)
    uq_login_took(call);
  else if (good)
    uq_token_accepted(call->home, call->token_serial);
  if (good || (f.status != 0 && f.status != 429))
    uq_rate_limiter_accepted(uq_attempt_rate_limiter(call, call->home),
                             uq_clock(), call->attempted);
  if (good && call->keeps_text)
    keep_text(L, idx);
  if (good)
    uq_call_end(call, true);
  if (call->home->hooks.response)
    uqL_hook_response(L, idx, good, &q.secrets);
  if (!good)
    results = call->client == NULL ? fail(L, call, call->ended->stopped)
                                   : after_failure(L, idx, &f);
  uq_response_done(&call->answer, call->home->transport);
  uq_buf_free(&call->scratch);
  if (call->client == NULL)
    uq_buf_free(&call->earlier);
  pay_for_resends(L, idx);
  return results;
}

/* The same for a login, which has its own limit and no queue. The calls that
** wait for it see whether that is too long. */
static void take_login_turn(struct uq_call *call, double now, bool *go) {
  struct uq_rate_limiter *pace = &call->client->login.limiter;
  *go = uq_rate_limiter_take(pace, now);
  if (!*go)
    wait_until(call, UQ_WAIT_TURN, uq_rate_limiter_next(pace));
}

/* Another process may have told a pause: then all calls of the client keep to
** it, and the call has no turn any more. */
static void keep_pause(lua_State *L, int idx, double now, bool *go) {
  struct uq_call *call = to_call(L, idx);
  double pause = uqL_token_store_pause(L, call->client, idx);
  if (call->client == NULL || !(pause > 0))
    return;
  uq_rate_limiter_pause_shared(&call->client->limiter, now, pause);
  call->granted = false;
  *go = false;
}

/* The client lets the call go, but other processes have to, too. */
static int take_shared_turn(lua_State *L, int idx, double now, bool *go) {
  struct uq_call *call = to_call(L, idx);
  double wait;
  double left = call->options.queued ? 86400 : call->deadline - now;
  bool in_time = uqL_token_store_turn(L, call->client, idx, left, &wait);
  *go = in_time && !(wait > 0);
  if (call->client == NULL)
    return fail_ended(L, call);
  if (!in_time)
    return fail_rate_limited(L, call, false, now, now + wait);
  if (*go)
    return 0;
  if (call->lined_up == 0)
    call->lined_up = now;
  call->granted = true;
  wait_until(call, UQ_WAIT_TURN, now + wait);
  return 0;
}

/* Has the rate limit let the call go? If not, it waits for its turn. Gives the
** results of a call that ends here, or 0. */
static int take_turn(lua_State *L, int idx, bool *go) {
  struct uq_call *call = to_call(L, idx);
  struct uq_client *c = call->client;
  double now = uq_clock();
  if (call->is_login) {
    take_login_turn(call, now, go);
    return 0;
  }
  bool queued = call->options.queued;
  bool first = call->called || c->queue.in_line == 0;
  bool late = !queued && call->lined_up > 0 && now >= call->deadline;
  *go = call->granted ||
        (first && !late && uq_rate_limiter_next(&c->limiter) <= now);
  if (*go && c->shared.pauses)
    keep_pause(L, idx, now, go);
  if (call->client == NULL)
    return fail_ended(L, call);
  *go = *go && (call->granted || uq_rate_limiter_take(&c->limiter, now));
  if (*go && c->shared.slots && !call->granted) {
    int results = take_shared_turn(L, idx, now, go);
    if (!*go)
      return results;
  }
  if (!*go) {
    double when = first
                      ? uq_rate_limiter_next(&c->limiter)
                      : uq_rate_limiter_due(&c->limiter, now, c->queue.in_line);
    if (late || (!queued && when >= call->deadline))
      return fail_rate_limited(L, call, false, now, when);
    if (call->lined_up == 0)
      call->lined_up = now;
    if (call->called) { /* it came too late: somebody else has gone */
      wait_until(call, UQ_WAIT_TURN, when);
      return 0;
    }
    call->state = UQ_CALL_QUEUED;
    uq_run_queue_enqueue(&c->queue, &call->turn,
                         queued ? HUGE_VAL : call->deadline);
    return 0;
  }
  if (queued && call->attempts == 0) { /* its time begins now */
    call->started = now;
    call->deadline = now + call->options.timeout;
  } else if (queued && call->lined_up > 0) {
    call->deadline += now - call->lined_up;
  }
  call->lined_up = 0;
  call->called = call->granted = false;
  return 0;
}

/* The call wants the token itself: it has that now. A copy of the call's own is
** pushed: see rule 8. */
static int give_token(lua_State *L, struct uq_call *call) {
  const struct uq_client *c = call->client;
  size_t prefix = uq_token_prefix(c->token.text.data, c->token.text.len);
  double end = c->token.end;
  if (c->token.text.len == 0)
    return fail_with(L, call, UQ_AUTH, "the token was dropped at once");
  uq_buf_init(&call->scratch, c->token.text.max);
  if (uq_buf_append(&call->scratch, c->token.text.data + prefix,
                    c->token.text.len - prefix) != UQ_BUF_OK)
    return fail_with(L, call, UQ_MEMORY, "not enough memory");
  uq_call_end(call, true);
  lua_pushlstring(L, call->scratch.data, call->scratch.len);
  uq_buf_free(&call->scratch);
  if (end == 0)
    return 1;
  uqL_pushcount(L, floor(end));
  return 2;
}

/* When a call that waits for the login must be stepped at the latest. */
static double login_end(const struct uq_call *call) {
  const struct uq_call *login = call->client->login.call;
  double end = call->deadline;
  if (login != NULL && login->state == UQ_CALL_WAITING)
    end = fmin(end, login->turn.wake);
  else if (login != NULL && login->state == UQ_CALL_IN_FLIGHT)
    end = fmin(end, uq_attempt_ready(login) /* at once: no event reports that */
                        ? uq_clock()
                        : flight_end(login));
  if (call->attends > uq_clock())
    end = fmin(end, call->attends);
  return end;
}

/* The call cannot wait for the login any longer. */
static int fail_without_token(lua_State *L, struct uq_call *call) {
  const struct uq_call *login = call->client->login.call;
  bool waits = login != NULL && login->state == UQ_CALL_WAITING;
  if (waits && login->waits_for == UQ_WAIT_TURN)
    return fail_rate_limited(L, call, true, uq_clock(), login->turn.wake);
  return fail_late(L, call,
                   waits && login->waits_for == UQ_WAIT_LOCK
                       ? UQ_LOGIN_FAILED_TEXT "no lock of the token store"
                       : UQ_LOGIN_FAILED_TEXT "no token",
                   UQ_ENDPOINT_TOKEN);
}

/* True if the call's time is over, or will be before the login, which waits,
** makes its next attempt. */
static bool is_too_late(const struct uq_call *call, double now) {
  const struct uq_call *login = call->client->login.call;
  return now >= call->deadline ||
         (login != NULL && login->state == UQ_CALL_WAITING &&
          login->waits_for != UQ_WAIT_RETRY &&
          login->turn.wake >= call->deadline);
}

/* A login asks the token store first. 0: it waits, or goes on if *go. */
static int ask_store(lua_State *L, int idx, bool *go) {
  struct uq_call *call = to_call(L, idx);
  uqL_client_user_value(L, idx);
  enum uq_token_store_state state =
      uqL_token_store_begin(L, call->client, lua_gettop(L));
  if (call->client == NULL) /* a function of the store closed it */
    return fail_ended(L, call);
  switch (state) {
  case UQ_TOKEN_STORE_FOUND:
    lua_createtable(L, 0, 3);
    lua_pushvalue(L, -3);
    lua_setfield(L, -2, "auth_token");
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, "expired_at");
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, "stored");
    uq_call_end(call, true);
    return 1;
  case UQ_TOKEN_STORE_BUSY:
    wait_until(call, UQ_WAIT_LOCK, uq_clock() + UQ_TOKEN_STORE_RETRY);
    return 0;
  case UQ_TOKEN_STORE_FAILED:
    return fail_with(L, call, UQ_CONFIG, lua_tostring(L, -1));
  default:
    *go = true;
    return 0;
  }
}

/* What a login needs before an attempt: that no token was refused a moment ago,
** and a look into the token store. 0: it waits, or goes on if *go. */
static int prepare_login(lua_State *L, int idx, bool *go) {
  struct uq_call *call = to_call(L, idx);
  const struct uq_client *c = call->client;
  if (uq_clock() < c->login.after) {
    wait_until(call, UQ_WAIT_RETRY, c->login.after);
    return 0;
  }
  *go = !c->store.given;
  return *go ? 0 : ask_store(L, idx, go);
}

/* The call waits for the login. */
static int wait_for_login(lua_State *L, struct uq_call *call, bool new_wait) {
  double now = uq_clock();
  if (call->options.queued && call->attempts == 0 && new_wait)
    call->deadline = now + call->options.timeout; /* begins now */
  if (is_too_late(call, now))
    return fail_without_token(L, call);
  wait_until(call, UQ_WAIT_TURN, login_end(call));
  call->state = UQ_CALL_LOGIN;
  return 0;
}

/* The call is to begin an attempt, or to wait for what that needs. */
static int prepare(lua_State *L, int idx) {
  struct uq_call *call = to_call(L, idx);
  bool go = false, new_wait = call->state != UQ_CALL_LOGIN;
  call->state = UQ_CALL_READY;
  enum uq_login_state login = uqL_login(L, idx);
  if (call->client == NULL) /* a hook of the login closed it */
    return fail_ended(L, call);
  if (login == UQ_LOGIN_FAILED)
    return end_with(L, call, NULL); /* the message has the login's context */
  if (login == UQ_LOGIN_WAIT)
    return wait_for_login(L, call, new_wait);
  call->state = UQ_CALL_READY;
  int results = 0;
  if (call->endpoint->login && !call->is_login) {
    results = ask_token(L, idx);
    return results > 0 ? results : give_token(L, call);
  }
  if (call->is_login) {
    results = prepare_login(L, idx, &go);
    if (!go)
      return results;
    go = false;
  }
  results = take_turn(L, idx, &go);
  return go ? begin_attempt(L, idx) : results;
}

/* Is it time for a call that waits? */
static bool is_due(const struct uq_call *call) {
  const struct uq_call *login = call->client->login.call;
  if (uq_clock() >= call->turn.wake)
    return true;
  if (call->state != UQ_CALL_LOGIN)
    return false;
  return login == NULL || uq_attempt_ready(login);
}

bool uq_attempt_ready(const struct uq_call *call) {
  switch (call->state) {
  case UQ_CALL_IN_FLIGHT: /* its exchange is gone while it is judged */
    return is_late(call) ||
           (call->exchange != NULL && uq_transfer_done(call->exchange));
  case UQ_CALL_QUEUED:
    return call->turn.wake <= uq_clock() ||
           !uq_run_queue_is_queued(&call->turn);
  case UQ_CALL_WAITING:
  case UQ_CALL_LOGIN:
    return is_due(call);
  default:
    return true;
  }
}

void uq_attempt_look(const struct uq_call *call) {
  if (call->state == UQ_CALL_IN_FLIGHT && call->exchange != NULL &&
      !uq_transfer_done(call->exchange))
    uq_transport_step(call->client->transport, 0);
}

/* The time of a login's attempt is over, but its answer may have come unread.
 */
static void look_for_answer(struct uq_call *call) {
  uq_attempt_look(call);
  if (!uq_transfer_done(call->exchange))
    uq_transfer_expire(call->exchange);
}

static int step(lua_State *L, int idx) {
  struct uq_call *call = to_call(L, idx);
  if (call->client == NULL)
    return fail_ended(L, call);
  if (uq_transport_forked(call->client->transport))
    return fail_forked(L, call);
  if (call->state == UQ_CALL_IN_FLIGHT) {
    bool late = is_late(call);
    if (late && call->is_login) /* it may have been left alone */
      look_for_answer(call);
    uq_attempt_count_resends(call);
    if (uq_transfer_done(call->exchange))
      return settle(L, idx);
    return late ? fail_late(L, call, no_answer, call->endpoint) : 0;
  }
  /* another call may have handled the login's event: a call that waits for the
  ** login has to find out how long from now on */
  if (call->state != UQ_CALL_LOGIN && !uq_attempt_ready(call))
    return 0;
  if (call->state == UQ_CALL_QUEUED)
    call->called = true;
  return prepare(L, idx);
}

int uqL_attempt_step(lua_State *L, int idx) {
  int results = step(L, idx);
  if (results > 0)
    uqL_login_abandon_if_unwanted(L, idx);
  return results;
}
