/*
** call.c - one call of the API: token -> attempts -> answer. A state machine
** that never waits by itself; uqL_call_run is what waits.
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
#include "clock.h"
#include "uqpay.h"

/* seconds */
#define GRACE 0.1 /* for the engine to notice the deadline by itself */
#define SLICE                                                       \
  0.25 /* longest wait in one piece: a signal that came just before \
          it would go unseen for so long */

enum call_state { CALL_READY, CALL_IN_FLIGHT, CALL_WAITING, CALL_DONE };

struct uq_call {
  struct uq_client *client; /* NULL: ended, or the client is closed */
  struct uq_client *home;   /* the same, never NULL: the peer table keeps it */
  struct uq_call *next, *prev;
  const struct uq_endpoint *endpoint;
  struct uq_options options;
  enum call_state state;
  struct uq_exchange *exchange; /* while in flight */
  struct uq_answer answer;      /* while it is judged */
  struct uq_buf scratch;        /* the same */
  struct uq_buf earlier;        /* header block whose token was refused */
  double started, deadline;     /* on uq_clock */
  double attempted;             /* when the last attempt began */
  double wake;                  /* when a wait ends */
  int attempts, retries;
  unsigned token_serial; /* the token of the last attempt */
  bool token_asked;      /* the token function was, for this call */
  bool token_renewed;    /* after a 401: once a call */
  char key[UQ_UUID_LEN + 1];
  char body[UQ_BODY_MAX];
};

static struct uq_call *to_call(lua_State *L, int idx) {
  return lua_touserdata(L, idx);
}

/* ------------------------------------------------------------------------ */
/* life                                                                      */
/* ------------------------------------------------------------------------ */

/* Ends the call: its exchange goes back, its client forgets it. */
static void detach(struct uq_call *call) {
  struct uq_client *c = call->client;
  struct uq_exchange *x = call->exchange;
  call->state = CALL_DONE;
  call->client = NULL;
  call->exchange = NULL;
  if (c == NULL)
    return;
  if (x != NULL)
    uq_exchange_release(x);
  if (call->prev != NULL)
    call->prev->next = call->next;
  else
    c->calls = call->next;
  if (call->next != NULL)
    call->next->prev = call->prev;
  call->next = call->prev = NULL;
}

void uq_call_cancel_all(struct uq_client *c) {
  while (c->calls != NULL)
    detach(c->calls);
}

static int call_gc(lua_State *L) {
  struct uq_call *call = luaL_checkudata(L, 1, UQ_CALL);
  detach(call);
  uq_answer_free(&call->answer);
  uq_buf_free(&call->scratch);
  uq_buf_free(&call->earlier);
  return 0;
}

void uqL_call_open(lua_State *L) {
  luaL_newmetatable(L, UQ_CALL);
  lua_pushcfunction(L, call_gc);
  lua_setfield(L, -2, "__gc");
  lua_pushliteral(L, UQ_CALL);
  lua_setfield(L, -2, "__name");
  lua_pop(L, 1);
}

/* Whole milliseconds, rounded up: 0 would mean "no limit" to the engine. */
static long to_ms(double seconds) { return (long)ceil(seconds * 1000); }

void uqL_call_new(lua_State *L, int client, const struct uq_endpoint *e,
                  const struct uq_options *o) {
  struct uq_call *call = lua_newuserdata(L, sizeof *call);
  memset(call, 0, sizeof *call);
  call->state = CALL_DONE;
  luaL_getmetatable(L, UQ_CALL);
  lua_setmetatable(L, -2);
  uqL_getpeer(L, client);
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
  call->state = CALL_READY;
  c->stats.calls++;
}

/* ------------------------------------------------------------------------ */
/* the end                                                                   */
/* ------------------------------------------------------------------------ */

static void set_number(lua_State *L, const char *name, double value) {
  lua_pushnumber(L, value);
  lua_setfield(L, -2, name);
}

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
  set_number(L, "elapsed", uq_clock() - call->started);
  lua_getfield(L, -1, "retryable");
  lua_pushboolean(L, lua_toboolean(L, -1)); /* nil: an error of our own */
  lua_setfield(L, -3, "retryable");
  lua_pop(L, 1);
  add_context(L, call);
  call->home->stats.failed++;
  detach(call);
  return uqL_error_return(L);
}

/* Ends the call with an error of our own. */
static int fail_with(lua_State *L, struct uq_call *call, enum uq_kind kind,
                     const char *message) {
  lua_pushstring(L, message);
  uqL_error_new(L, kind);
  return fail(L, call, NULL);
}

static int fail_closed(lua_State *L, struct uq_call *call) {
  return fail_with(L, call, UQ_CANCELED, "the client was closed");
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

/* ------------------------------------------------------------------------ */
/* the user's functions                                                      */
/* ------------------------------------------------------------------------ */

/* Calls the hook with the table at the top, and pops it. Whatever it raises is
** counted and forgotten: a hook never changes a result. */
static void run_hook(lua_State *L, int idx, const char *name) {
  uqL_getpeer(L, idx);
  lua_getfield(L, -1, name);
  lua_replace(L, -2);
  lua_insert(L, -2);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
    lua_pop(L, 1);
    to_call(L, idx)->home->stats.hook_errors++;
  }
}

/* Pushes what all hooks are told. */
static void push_info(lua_State *L, const struct uq_call *call, int attempt) {
  char url[UQ_URL_MAX];
  uq_endpoint_url(call->endpoint, call->home->options.base_url, url);
  lua_newtable(L);
  uqL_error_set(L, "endpoint", call->endpoint->name);
  uqL_error_set(L, "method", call->endpoint->method);
  uqL_error_set(L, "url", url);
  uqL_error_set(L, "currency", call->options.currency);
  uqL_error_set(L, "on_behalf_of", call->options.on_behalf_of);
  uqL_error_set(L, "idempotency_key", call->key);
  lua_pushinteger(L, attempt);
  lua_setfield(L, -2, "attempt");
}

/* Copies a field of the error table at from into the table at the top. */
static void copy_field(lua_State *L, int from, const char *name) {
  lua_getfield(L, from, name);
  lua_setfield(L, -2, name);
}

/* Tells of the answer; at the top: the result, or the error table. */
static void tell_response(lua_State *L, int idx, bool good,
                          const struct uq_secrets *secrets) {
  struct uq_call *call = to_call(L, idx);
  const struct uq_answer *a = &call->answer;
  int table = lua_gettop(L);
  push_info(L, call, call->attempts);
  set_number(L, "elapsed", uq_clock() - call->attempted);
  if (a->status != 0) {
    lua_pushinteger(L, a->status);
    lua_setfield(L, -2, "status");
  }
  uqL_error_set_redacted(L, "request_id", a->received.request_id, secrets);
  if (!good) {
    copy_field(L, table, "kind");
    copy_field(L, table, "message");
  }
  run_hook(L, idx, "on_response");
}

/* Tells of the retry that the error table at the top leads to. */
static void tell_retry(lua_State *L, int idx, double wait) {
  struct uq_call *call = to_call(L, idx);
  int table = lua_gettop(L);
  push_info(L, call, call->attempts);
  set_number(L, "wait", wait);
  copy_field(L, table, "status");
  copy_field(L, table, "kind");
  copy_field(L, table, "message");
  run_hook(L, idx, "on_retry");
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
  request.url = url;
  request.body = call->body;
  request.body_len = strlen(call->body);
  request.timeout_ms = to_ms(call->deadline - call->attempted);
  request.connect_timeout_ms = to_ms(call->options.connect_timeout);
  request.max_response_bytes = (size_t)call->options.max_response_bytes;
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
      return fail_closed(L, call);
    if (!asked)
      return fail_with(L, call, UQ_AUTH, lua_tostring(L, -1));
  }
  if (call->key[0] == '\0' && !uq_uuid_v4(call->key))
    return fail_with(L, call, UQ_CONFIG,
                     "the system gives no random bytes for a key");
  if (call->client->on_request) {
    push_info(L, call, call->attempts + 1);
    run_hook(L, idx, "on_request");
  }
  if (call->client == NULL)
    return fail_closed(L, call);
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
  if (!start_exchange(call))
    return fail_with(L, call, UQ_MEMORY, "not enough memory");
  call->state = CALL_IN_FLIGHT;
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
    copy_field(L, table, "status");
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

/* An attempt has failed; its error table is at the top. */
static int after_failure(lua_State *L, int idx, const struct uq_failure *f) {
  struct uq_call *call = to_call(L, idx);
  const struct uq_options *o = &call->options;
  struct uq_retry_policy policy = {o->max_retries, o->retry_delay,
                                   o->retry_delay_max};
  struct uq_retry verdict = {true, 0, NULL};
  bool renewed = f->token_refused && renew_token(L, idx);
  if (call->client == NULL)
    return fail(L, call, "closed");
  if (!renewed)
    verdict = uq_retry_decide(&policy, f, ++call->retries, uq_clock(),
                              call->deadline, chance());
  if (!verdict.again)
    return fail(L, call, verdict.stopped);
  call->home->stats.retries++;
  if (call->client->on_retry)
    tell_retry(L, idx, verdict.wait);
  if (call->client == NULL)
    return fail(L, call, "closed");
  if (renewed) {
    uq_buf_free(&call->earlier);
    call->earlier = call->answer.sent;
    uq_buf_init(&call->answer.sent, 0);
  }
  if (o->idempotency_key[0] == '\0' && !f->lost)
    call->key[0] = '\0'; /* a definite answer is stored under the old one */
  call->wake = uq_clock() + verdict.wait;
  call->state = CALL_WAITING;
  lua_pop(L, 1); /* the error table */
  return 0;
}

/* The exchange is finished. */
static int settle(lua_State *L, int idx) {
  struct uq_call *call = to_call(L, idx);
  const struct uq_options *o = &call->home->options;
  struct uq_exchange *x = call->exchange;
  struct uq_failure f;
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
  int results = 1;
  bool good = uqL_answer_judge(L, &q, &call->answer, &f);
  if (call->home->on_response)
    tell_response(L, idx, good, &q.secrets);
  if (good) {
    call->home->stats.succeeded++;
    detach(call);
  } else if (call->client == NULL) {
    results = fail(L, call, "closed");
  } else {
    results = after_failure(L, idx, &f);
  }
  uq_answer_free(&call->answer);
  uq_buf_free(&call->scratch);
  return results;
}

int uqL_call_step(lua_State *L, int idx) {
  struct uq_call *call = to_call(L, idx);
  if (call->client == NULL)
    return fail_closed(L, call);
  if (uq_transport_forked(call->client->transport))
    return fail_forked(L, call);
  switch (call->state) {
  case CALL_WAITING:
    return uq_clock() < call->wake ? 0 : begin_attempt(L, idx);
  case CALL_READY:
    return begin_attempt(L, idx);
  default:
    break;
  }
  if (uq_exchange_done(call->exchange))
    return settle(L, idx);
  if (uq_clock() > call->deadline + GRACE)
    return fail_late(L, call);
  return 0;
}

/* ------------------------------------------------------------------------ */
/* waiting                                                                   */
/* ------------------------------------------------------------------------ */

/* Lets a debug hook run: that is how an interpreter tells of Ctrl-C. Raises
** what it raises, the call being cancelled first. */
static void run_debug_hook(lua_State *L, struct uq_call *call) {
  if (lua_gethook(L) == NULL)
    return;
  if (luaL_loadstring(L, "return") == LUA_OK && lua_pcall(L, 0, 0, 0) == LUA_OK)
    return;
  detach(call);
  lua_error(L);
}

int uqL_call_run(lua_State *L, int idx) {
  struct uq_call *call = to_call(L, idx);
  for (;;) {
    int results = uqL_call_step(L, idx);
    if (results > 0)
      return results;
    double left =
        (call->state == CALL_WAITING ? call->wake : call->deadline + GRACE) -
        uq_clock();
    if (left > SLICE)
      left = SLICE;
    uq_transport_step(call->client->transport, left > 0 ? to_ms(left) : 0);
    run_debug_hook(L, call);
  }
}
