/*
** call_error.c - see call_error.h.
** SPDX-License-Identifier: MIT
*/
#include "binding/call_error.h"

#include "binding/client.h"
#include "binding/client_clock.h"
#include "binding/error.h"
#include "binding/login.h"
#include "binding/options.h"
#include "engine/number/number.h"
#include "engine/policy/rate_limiter.h"

static void set_true(lua_State *L, const char *name) {
  lua_pushboolean(L, 1);
  lua_setfield(L, -2, name);
}

static void add_context(lua_State *L, const struct uq_call *call) {
  int attempts = call->attempt.count;
  lua_getfield(L, -1, "message");
  lua_getfield(L, -2, "request_id");
  const char *id = lua_tostring(L, -1);
  lua_pushfstring(L, "%s [%s, %d attempt%s%s%s]", lua_tostring(L, -2),
                  call->client->host, attempts, attempts == 1 ? "" : "s",
                  id != NULL ? ", request " : "", id != NULL ? id : "");
  lua_setfield(L, -4, "message");
  lua_pop(L, 2);
}

static void set_fields(lua_State *L, const struct uq_call *call,
                       const char *stopped) {
  uqL_error_set_string(L, "retry_stopped", stopped);
  lua_getfield(L, -1, "endpoint"); /* a login's error has it already */
  bool named = !lua_isnil(L, -1);
  lua_pop(L, 1);
  if (!named)
    uqL_error_set_string(L, "endpoint", call->endpoint->name);
  uqL_error_set_string(L, "idempotency_key", call->key);
  uqL_error_set_string(L, "on_behalf_of", call->options.on_behalf_of);
  lua_pushinteger(L, call->attempt.count);
  lua_setfield(L, -2, "attempts");
  lua_pushnumber(L, uq_client_clock(call->client) - call->started);
  lua_setfield(L, -2, "elapsed");
  lua_getfield(L, -1, "retryable");
  lua_pushboolean(L, lua_toboolean(L, -1)); /* nil: an error of our own */
  lua_setfield(L, -3, "retryable");
  lua_pop(L, 1);
}

void uqL_call_complete_error(lua_State *L, const struct uq_call *call,
                             const char *stopped) {
  add_context(L, call);
  set_fields(L, call, stopped);
}

static enum uq_verdict end_with(lua_State *L, struct uq_call *call) {
  uq_call_end(call, false);
  call->pushed = uqL_error_push_failure(L);
  return UQ_RESULTS;
}

enum uq_verdict uqL_call_fail(lua_State *L, struct uq_call *call,
                              const char *stopped) {
  uqL_call_complete_error(L, call, stopped);
  return end_with(L, call);
}

enum uq_verdict uqL_call_fail_login(lua_State *L, struct uq_call *call) {
  set_fields(L, call, NULL);
  return end_with(L, call);
}

enum uq_verdict uqL_call_fail_with(lua_State *L, struct uq_call *call,
                                   enum uq_kind kind, const char *message) {
  lua_pushstring(L, message);
  uqL_error_new(L, kind);
  return uqL_call_fail(L, call, NULL);
}

enum uq_verdict uqL_call_fail_ended(lua_State *L, struct uq_call *call) {
  lua_pushstring(L, call->ended->message);
  uqL_error_new(L, call->ended->kind);
  return uqL_call_fail(L, call, call->ended->stopped);
}

enum uq_verdict uqL_call_fail_forked(lua_State *L, struct uq_call *call) {
  return uqL_call_fail_with(
      L, call, UQ_FORKED,
      "this client was made before a fork, by the parent process: make one in "
      "the child");
}

enum uq_verdict uqL_call_fail_late(lua_State *L, struct uq_call *call,
                                   const char *what,
                                   const struct uq_endpoint *endpoint) {
  char timeout[UQ_NUMBER_TEXT];
  uq_number_text(call->options.timeout, 15, timeout);
  lua_pushfstring(L, "%s within the timeout of %s s", what, timeout);
  uqL_error_new(L, UQ_TIMEOUT);
  set_true(L, "retryable");
  uqL_error_set_string(L, "endpoint", endpoint->name);
  return uqL_call_fail(L, call, "deadline");
}

static const char *rate_limit_reason(const struct uq_rate_limiter *limiter,
                                     bool login, double now) {
  if (limiter->paused_until > now)
    return "the server has told the client to slow down (429)";
  return login ? "the client's limit of logins is used up"
               : "the client's rate_limit is used up";
}

enum uq_verdict uqL_call_fail_rate_limited(lua_State *L, struct uq_call *call,
                                           bool login, double now,
                                           double when) {
  const struct uq_client *c = call->client;
  const struct uq_endpoint *e = login ? UQ_ENDPOINT_TOKEN : call->endpoint;
  double wait = when > now ? when - now : 0;
  char soonest[UQ_NUMBER_TEXT], timeout[UQ_NUMBER_TEXT];
  uq_number_text(wait, 3, soonest);
  uq_number_text(call->options.timeout, 15, timeout);
  lua_pushfstring(
      L, "%s%s: the %s could go in %s s, and the call has a timeout of %s s",
      login ? UQ_LOGIN_FAILED_TEXT : "",
      rate_limit_reason(login ? &c->login.limiter : &c->limiter, login, now),
      login ? "login" : "call", soonest, timeout);
  uqL_error_new(L, UQ_RATE_LIMIT);
  set_true(L, "retryable");
  lua_pushnumber(L, wait);
  lua_setfield(L, -2, "retry_after");
  uqL_error_set_string(L, "endpoint", e->name);
  return uqL_call_fail(L, call, "deadline");
}
