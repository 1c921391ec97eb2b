/*
** attempt.c - the course of a call: a turn under the rate limit, a token, an
** exchange, the judgement, and again. A state machine that never waits.
**
** Keys: a fresh one for each attempt, but the same one while the outcome of
** the last attempt is unknown; the API replays a stored answer, a failure's
** too, for a key that it has seen. A caller's own key is never changed.
** SPDX-License-Identifier: MIT
*/
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ascii.h"
#include "call.h"
#include "clock.h"

/* Seconds that the others wait for one's Retry-After: limits are a minute's. */
#define MAX_PAUSE 60.0

static struct uq_call *to_call(lua_State *L, int idx) {
  return lua_touserdata(L, idx);
}

/* ------------------------------------------------------------------------ */
/* the end                                                                   */
/* ------------------------------------------------------------------------ */

/* Adds to the message at which host, after how many attempts and in which of
 *its
 ** requests the error was met. At the top: the error table. */
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

/* Completes the error table at the top and ends the call with it. */
static int fail(lua_State *L, struct uq_call *call, const char *stopped) {
  uqL_error_set(L, "retry_stopped", stopped);
  uqL_error_set(L, "idempotency_key", call->key);
  uqL_error_set(L, "on_behalf_of", call->options.on_behalf_of);
  lua_pushinteger(L, call->attempts);
  lua_setfield(L, -2, "attempts");
  lua_pushnumber(L, uq_clock() - call->started);
  lua_setfield(L, -2, "elapsed");
  lua_getfield(L, -1, "retryable");
  lua_pushboolean(L, lua_toboolean(L, -1)); /* nil: an error of our own */
  lua_setfield(L, -3, "retryable");
  lua_pop(L, 1);
  add_context(L, call);
  uq_call_end(call, false);
  return uqL_error_return(L);
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

static int fail_late(lua_State *L, struct uq_call *call) {
  char message[80];
  snprintf(message, sizeof message, "no answer within the timeout of %.15g s",
           call->options.timeout);
  lua_pushstring(L, message);
  uqL_error_new(L, UQ_TIMEOUT);
  lua_pushboolean(L, 1);
  lua_setfield(L, -2, "retryable");
  return fail(L, call, "deadline");
}

/* The rate limit lets the call go at `when`, which is too late. */
static int fail_for_haste(lua_State *L, struct uq_call *call, double now,
                          double when) {
  double wait = when > now ? when - now : 0;
  bool held = call->client->pace.held > now;
  char message[160];
  snprintf(message, sizeof message,
           "%s: the call could go in %.3g s, and has a timeout of %.15g s",
           held ? "the server has told the client to slow down (429)"
                : "the client's rate_limit is used up",
           wait, call->options.timeout);
  lua_pushstring(L, message);
  uqL_error_new(L, UQ_RATE_LIMIT);
  lua_pushboolean(L, 1);
  lua_setfield(L, -2, "retryable");
  lua_pushnumber(L, wait);
  lua_setfield(L, -2, "retry_after");
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

/* ------------------------------------------------------------------------ */
/* attempts                                                                  */
/* ------------------------------------------------------------------------ */

/* Whole milliseconds, rounded up: 0 would mean "no limit" to the engine. */
static long to_ms(double seconds) { return (long)ceil(seconds * 1000); }

static bool start_exchange(struct uq_call *call) {
  struct uq_client *c = call->client;
  struct uq_request request;
  char url[UQ_URL_MAX];
  call->exchange = uq_exchange_acquire(c->transport);
  if (call->exchange == NULL)
    return false;
  if (uq_endpoint_headers(uq_exchange_headers(call->exchange), c->token.data,
                          call->key, call->options.on_behalf_of) != UQ_BUF_OK)
    return false;
  uq_endpoint_url(call->endpoint, c->options.base_url, url);
  request.owner = call;
  request.url = url;
  request.body = call->body;
  request.body_len = strlen(call->body);
  request.timeout_ms = to_ms(call->deadline - call->attempted);
  request.connect_timeout_ms = to_ms(call->options.connect_timeout);
  request.max_response_bytes = (size_t)call->options.max_response_bytes;
  request.crowd = call->is_object;
  call->token_serial = c->token_serial;
  uq_exchange_start(call->exchange, &request);
  return true;
}

/* Runs what the user has to say before an attempt: the token function if there
** is a need, and the hook. 0, or the results of a call that ends here. */
static int before_attempt(lua_State *L, int idx) {
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
  if (call->key[0] == '\0' && !uq_uuid_v4(call->key))
    return fail_with(L, call, UQ_CONFIG,
                     "the system gives no random bytes for a key");
  if (call->client->on_request)
    uqL_hook_request(L, idx);
  if (call->client == NULL)
    return fail_ended(L, call);
  return 0;
}

/* Begins an attempt: 0, or the results of a call that ends here. */
static int begin_attempt(lua_State *L, int idx) {
  struct uq_call *call = to_call(L, idx);
  struct uq_client *c = call->client;
  bool own_key = call->options.idempotency_key[0] != '\0';
  bool first_use = call->attempts == 0 && own_key;
  bool sent_before = first_use && key_was_sent(c, call->key);
  if (sent_before && !call->options.allow_key_reuse)
    return fail_with(L, call, UQ_IDEMPOTENCY,
                     "this idempotency_key was used before: the answer would "
                     "be the stored one, up to 24 hours old (allow_key_reuse "
                     "asks for just that)");
  int results = before_attempt(L, idx);
  if (results > 0)
    return results;
  if (uq_transport_forked(c->transport))
    return fail_forked(L, call);
  call->attempted = uq_clock();
  if (call->attempted >= call->deadline)
    return fail_late(L, call);
  call->attempts++;
  c->stats.attempts++;
  if (first_use && !sent_before)
    remember_key(c, call->key);
  call->state = UQ_CALL_IN_FLIGHT;
  call->turn.wake = call->attempted;
  if (!start_exchange(call))
    return fail_with(L, call, UQ_MEMORY, "not enough memory");
  if (!uq_exchange_done(call->exchange)) /* libcurl keeps no time for one that
                                            waits for a connection */
    uq_schedule_wait(&c->schedule, &call->turn, call->deadline + UQ_GRACE);
  return 0;
}

/* The token was refused. True: another one is there now, for one more try. The
** error table at the top may give way to one that says why there is none. */
static bool renew_token(lua_State *L, int idx) {
  struct uq_call *call = to_call(L, idx);
  struct uq_client *c = call->client;
  unsigned refused = call->token_serial;
  int table = lua_gettop(L);
  if (!c->token_function || call->token_renewed)
    return false;
  call->token_renewed = true;
  if (c->token_serial != refused) /* another call has renewed it already */
    return true;
  call->token_asked = true;
  bool asked = uqL_token_ask(L, idx, c, "rejected");
  if (!asked && call->client != NULL) {
    uqL_error_new(L, UQ_AUTH);
    lua_getfield(L, table, "status");
    lua_setfield(L, -2, "status");
    lua_replace(L, table);
  }
  lua_settop(L, table);
  return asked && call->client != NULL && c->token_serial != refused;
}

/* A random number in [0, 1); without randomness, one half. */
static double chance(void) {
  uint32_t bits;
  return uq_random(&bits, sizeof bits) ? (double)bits / 4294967296.0 : 0.5;
}

/* Waits for the moment, if that is not past. */
static void wait_until(struct uq_call *call, double wake) {
  call->state = UQ_CALL_WAITING;
  uq_schedule_wait(&call->client->schedule, &call->turn, wake);
}

/* The server has refused for haste: that concerns every call of the client.
** Gives the pause that it makes. */
static double slow_down(struct uq_call *call, const struct uq_failure *f,
                        const struct uq_retry_policy *policy, double now) {
  struct uq_pace *pace = &call->client->pace;
  int row = uq_pace_refused(pace, now, call->attempted);
  double pause = f->retry_after;
  if (pause == 0 && row > 0)
    pause = uq_retry_wait(policy, row, chance());
  if (pause > MAX_PAUSE)
    pause = MAX_PAUSE;
  if (pause > 0)
    uq_pace_hold(pace, now, pause);
  return pause;
}

/* A queued call that was refused for haste queues again, as often as need be;
** its time stands still meanwhile. */
static struct uq_retry decide(struct uq_call *call,
                              const struct uq_failure *f) {
  const struct uq_options *o = &call->options;
  struct uq_retry_policy policy = {o->max_retries, o->retry_delay,
                                   o->retry_delay_max};
  double now = uq_clock();
  if (f->status == 429) {
    double pause = slow_down(call, f, &policy, now);
    if (o->queued && uq_pace_patient(&call->client->pace, now)) {
      call->deadline += pause;
      return (struct uq_retry){true, pause, NULL};
    }
  }
  return uq_retry_decide(&policy, f, ++call->retries, now, call->deadline,
                         chance());
}

/* An attempt has failed; its error table is at the top. */
static int after_failure(lua_State *L, int idx, const struct uq_failure *f) {
  struct uq_call *call = to_call(L, idx);
  struct uq_retry verdict = {true, 0, NULL};
  bool renewed = f->token_refused && renew_token(L, idx);
  if (call->client == NULL)
    return fail(L, call, call->ended->stopped);
  if (!renewed)
    verdict = decide(call, f);
  if (!verdict.again)
    return fail(L, call, verdict.stopped);
  call->home->stats.retries++;
  if (call->client->on_retry)
    uqL_hook_retry(L, idx, verdict.wait);
  if (call->client == NULL)
    return fail(L, call, call->ended->stopped);
  if (renewed) {
    uq_buf_free(&call->earlier);
    call->earlier = call->answer.sent;
    uq_buf_init(&call->answer.sent, 0);
  }
  if (call->options.idempotency_key[0] == '\0' && !f->lost)
    call->key[0] = '\0'; /* a definite answer is stored under the old one */
  wait_until(call, uq_clock() + verdict.wait);
  lua_pop(L, 1); /* the error table */
  return 0;
}

/* The exchange is finished. */
static int settle(lua_State *L, int idx) {
  struct uq_call *call = to_call(L, idx);
  const struct uq_options *o = &call->home->options;
  struct uq_exchange *x = call->exchange;
  struct uq_failure f;
  int results = 1;
  call->exchange = NULL;
  uq_exchange_take(x, &call->answer); /* it is the call's alone: see rule 8 */
  call->home->stats.connections += (double)call->answer.connects;
  struct uq_question q = {call->endpoint,
                          call->options.currency,
                          o->ca_file != NULL ? o->ca_file : o->ca_path,
                          call->options.amounts,
                          {uq_endpoint_token(&call->answer.sent),
                           uq_endpoint_token(&call->earlier)},
                          &call->scratch};
  bool good = uqL_answer_judge(L, &q, &call->answer, &f);
  if (good || (f.status != 0 && f.status != 429))
    uq_pace_accepted(&call->home->pace, uq_clock(), call->attempted);
  if (good)
    uq_call_end(call, true);
  if (call->home->on_response)
    uqL_hook_response(L, idx, good, &q.secrets);
  if (!good)
    results = call->client == NULL ? fail(L, call, call->ended->stopped)
                                   : after_failure(L, idx, &f);
  uq_answer_free(&call->answer);
  uq_buf_free(&call->scratch);
  return results;
}

/* Has the rate limit let the call go? If not, it waits for its turn. Gives the
** results of a call that ends here, or 0. */
static int take_turn(lua_State *L, struct uq_call *call, bool *go) {
  struct uq_client *c = call->client;
  double now = uq_clock();
  bool queued = call->options.queued;
  bool first = call->called || c->schedule.in_line == 0;
  bool late = !queued && call->lined_up > 0 && now >= call->deadline;
  *go = first && !late && uq_pace_take(&c->pace, now);
  if (!*go) {
    double when = first ? uq_pace_next(&c->pace)
                        : uq_pace_due(&c->pace, now, c->schedule.in_line);
    if (late || (!queued && when >= call->deadline))
      return fail_for_haste(L, call, now, when);
    if (call->lined_up == 0)
      call->lined_up = now;
    if (call->called) { /* it came too late: somebody else has gone */
      wait_until(call, when);
      return 0;
    }
    call->state = UQ_CALL_IN_LINE;
    uq_schedule_line_up(&c->schedule, &call->turn,
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
  call->called = false;
  return 0;
}

int uqL_attempt_step(lua_State *L, int idx) {
  struct uq_call *call = to_call(L, idx);
  bool go = false;
  if (call->client == NULL)
    return fail_ended(L, call);
  if (uq_transport_forked(call->client->transport))
    return fail_forked(L, call);
  if (call->state == UQ_CALL_IN_FLIGHT) {
    if (uq_exchange_done(call->exchange))
      return settle(L, idx);
    return uq_clock() >= call->turn.wake ? fail_late(L, call) : 0;
  }
  if (call->state == UQ_CALL_WAITING && uq_clock() < call->turn.wake)
    return 0;
  if (call->state == UQ_CALL_IN_LINE) {
    if (uq_schedule_in_line(&call->turn))
      return 0;
    call->called = true;
  }
  int results = take_turn(L, call, &go);
  return go ? begin_attempt(L, idx) : results;
}
