/*
** attempt.c - see attempt.h.
** SPDX-License-Identifier: MIT
*/
#include "binding/attempt.h"

#include <errno.h>
#include <math.h>

#include "binding/admission.h"
#include "binding/call_error.h"
#include "binding/client.h"
#include "binding/client_clock.h"
#include "binding/compat.h"
#include "binding/custom_transport.h"
#include "binding/failed_attempt.h"
#include "binding/hook.h"
#include "binding/options.h"
#include "binding/reclaim.h"
#include "binding/response.h"
#include "binding/response_context.h"
#include "binding/token.h"
#include "engine/api/endpoint.h"
#include "engine/base/buf.h"
#include "engine/base/clock.h"
#include "engine/base/error_kind.h"
#include "engine/base/uuid.h"
#include "engine/http/latency.h"
#include "engine/http/transfer.h"
#include "engine/http/transport.h"
#include "engine/policy/rate_limiter.h"
#include "engine/policy/retry.h"
#include "engine/policy/sent_keys.h"

/* Seconds for the engine to notice a deadline by itself. */
#define GRACE 0.1

/* The transport learns the response times of each endpoint. */
typedef char uq_enough_latencies[UQ_ENDPOINT_COUNT <= UQ_LATENCIES ? 1 : -1];

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

/* Seconds of silence after which the connection of an attempt may be given up
** and the request sent again: its share of the call's time. 0: not at all. */
static double patience(const struct uq_call *call) {
  if (call->attempt.resent || call->options.max_retries == 0)
    return 0;
  double left = call->course->is_login ? call->client->options.timeout
                                       : call->deadline - call->attempt.begun;
  return left / 3;
}

static enum uq_buf_status fill_headers(const struct uq_call *call,
                                       struct uq_buf *block) {
  const struct uq_client *c = call->client;
  struct uq_headers headers = {.user_agent = c->options.user_agent,
                               .key = call->key,
                               .on_behalf_of = call->options.on_behalf_of,
                               .body = call->body[0] != '\0'};
  if (call->course->is_login) {
    headers.client_id = c->options.client_id;
    headers.api_key = c->api_key.data;
  } else {
    headers.token = c->token.text.data;
  }
  return uq_endpoint_headers(block, &headers);
}

/* The call's request is about to be sent with the client's token. */
static void note_request(struct uq_call *call) {
  call->attempt.serial = call->client->token.serial;
  if (!call->course->is_login)
    call->login.number = 0;
  call->login.failures = 0;
  call->login.begun = false;
}

/* False: out of memory. */
static bool start_transfer(struct uq_call *call, const char *url) {
  call->transfer = uq_transfer_acquire(call->client->transport);
  if (call->transfer == NULL ||
      fill_headers(call, uq_transfer_headers(call->transfer)) != UQ_BUF_OK)
    return false;
  struct uq_request request = {
      .owner = call,
      .url = url,
      .body = call->endpoint->method[0] == 'P' ? call->body : NULL,
      /* a login may go unstepped: its response may have come long ago */
      .timeout_ms =
          call->course->is_login
              ? 0
              : uq_milliseconds(call->attempt.end - call->attempt.begun),
      .connect_timeout_ms = uq_milliseconds(call->options.connect_timeout),
      .silence = patience(call),
      .fresh = call->attempt.fresh,
      .endpoint = (int)(call->endpoint - uq_endpoints),
      .max_response_bytes = (size_t)call->options.max_response_bytes,
      .concurrent = call->is_object};
  uq_transfer_start(call->transfer, &request);
  return true;
}

/* When a call in flight is late. libcurl keeps no time for a request that waits
** for a connection, nor for a login. */
static double flight_end(const struct uq_call *call) {
  return call->attempt.end + (call->course->is_login ? 0 : GRACE);
}

/* Sends the request by the program's transport. */
static enum uq_verdict send_custom(lua_State *L, int idx, struct uq_call *call,
                                   const char *url) {
  uq_buf_init(&call->response.sent, UQ_REQUEST_HEADERS_MAX);
  if (fill_headers(call, &call->response.sent) != UQ_BUF_OK) {
    uq_buf_free(&call->response.sent);
    return uqL_call_fail_with(L, call, UQ_MEMORY, "not enough memory");
  }
  return uqL_custom_transport_send(L, idx, call, url);
}

static enum uq_verdict send_request(lua_State *L, int idx,
                                    struct uq_call *call) {
  const struct uq_client *c = call->client;
  char url[UQ_URL_MAX];
  call->attempt.resends = 0;
  uq_call_enter(call, UQ_CALL_IN_FLIGHT, flight_end(call)); /* it may be over
                                                               at once */
  uq_endpoint_url(call->endpoint, c->options.base_url, call->query, url);
  note_request(call);
  if (c->custom.given)
    return send_custom(L, idx, call, url);
  if (!start_transfer(call, url))
    return uqL_call_fail_with(L, call, UQ_MEMORY, "not enough memory");
  return UQ_WAIT;
}

enum uq_verdict uqL_attempt_ask_token(lua_State *L, int idx,
                                      struct uq_call *call) {
  const char *need = call->token.asked ? NULL : uq_token_need(call->client);
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

/* Makes ready the token and the key, and runs the hook. */
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
  if (call->client->token.text.len == 0 && !call->course->is_login)
    return uqL_call_fail_with(L, call, UQ_AUTH,
                              "the token was dropped before it could be sent");
  return UQ_GO;
}

static void count_attempt(struct uq_call *call) {
  struct uq_stats *stats = &call->client->stats;
  call->attempt.count++;
  if (!call->course->is_login)
    stats->attempts++;
  else if (call->attempt.count == 1)
    stats->logins++;
}

enum uq_verdict uqL_attempt_begin(lua_State *L, int idx, struct uq_call *call) {
  struct uq_client *c = call->client;
  if (is_key_spent(call))
    return fail_spent(L, call);
  enum uq_verdict verdict = prepare(L, idx, call);
  if (verdict != UQ_GO)
    return verdict;
  if (uq_transport_forked(c->transport))
    return uqL_call_fail_forked(L, call);
  call->attempt.begun = uq_client_clock(c);
  if (call->attempt.begun >= call->deadline)
    return uqL_call_fail_late(L, call, uq_no_answer, call->endpoint);
  call->attempt.end = call->course->is_login
                          ? call->attempt.begun + call->login.limit
                          : call->deadline;
  if (is_key_spent(call)) /* by a call that a hook has made */
    return fail_spent(L, call);
  if (is_first_use(call))
    uq_sent_keys_add(&c->sent_keys, call->key);
  count_attempt(call);
  call->attempt.reclaimed = false;
  return send_request(L, idx, call);
}

/* ------------------------------------------------------------------------ */
/* a response                                                                */
/* ------------------------------------------------------------------------ */

/* If nothing was sent for lack of descriptors, collects garbage, once for the
** attempt. True: it can be sent again. The call may be over afterwards. */
static bool reclaim(lua_State *L, struct uq_call *call) {
  struct uq_client *c = call->client;
  int error = call->response.os_errno;
  if (call->attempt.reclaimed || (error != EMFILE && error != ENFILE))
    return false;
  call->attempt.reclaimed = true;
  (void)uqL_reclaim(L, c);
  if (uq_call_is_over(call) || uq_transport_forked(c->transport) ||
      (c->token.text.len == 0 && !call->course->is_login))
    return false;
  call->attempt.begun = uq_client_clock(c);
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
  if (good && !call->course->is_login)
    uq_token_accepted(&c->token, call->attempt.serial);
  if (good || (f->status != 0 && f->status != 429))
    uq_rate_limiter_accepted(uq_call_limiter(call), uq_client_clock(c),
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
      .now = uq_client_unix(call->client),
      .scratch = &call->scratch,
      .token = call->course->is_login ? &call->login.token : NULL};
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
  if (transfer != NULL)
    uq_transfer_take(transfer, &call->response); /* the call's only: rule 8 */
  else
    uq_call_set_custom(call, UQ_CUSTOM_NONE);
  if (reclaim(L, call)) {
    uq_response_free(&call->response);
    return send_request(L, idx, call);
  }
  call->pushed = 1;
  if (!decode(L, idx, call, &f))
    verdict = uq_call_is_over(call)
                  ? uqL_call_fail(L, call, call->ended->stopped)
                  : uqL_failed_attempt(L, idx, call, &f);
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

static bool is_answered(const struct uq_call *call) {
  return call->transfer != NULL ? uq_transfer_done(call->transfer)
                                : call->custom.state == UQ_CUSTOM_ANSWERED;
}

/* The login is late, or was not stepped for long: its response may be unread.
 */
static void expire_login(struct uq_call *login) {
  uq_attempt_look(login);
  if (is_answered(login))
    return;
  if (login->transfer != NULL)
    uq_transfer_expire(login->transfer);
  else
    uq_custom_transport_expire(login);
}

enum uq_verdict uqL_attempt_in_flight(lua_State *L, int idx,
                                      struct uq_call *call) {
  bool late = uq_client_clock(call->client) >= flight_end(call);
  if (late && call->course->is_login)
    expire_login(call);
  uq_call_count_resends(call);
  if (is_answered(call))
    return finish_attempt(L, idx, call);
  return late ? uqL_call_fail_late(L, call, uq_no_answer, call->endpoint)
              : UQ_WAIT;
}
