/*
** login_wait.c - see login_wait.h.
** SPDX-License-Identifier: MIT
*/
#include "binding/login_wait.h"

#include <math.h>
#include <string.h>

#include "binding/auxlib.h"
#include "binding/call_error.h"
#include "binding/client.h"
#include "binding/client_clock.h"
#include "binding/error.h"
#include "binding/login.h"
#include "binding/options.h"
#include "binding/token.h"
#include "engine/api/endpoint.h"
#include "engine/base/buf.h"
#include "engine/base/error_kind.h"
#include "engine/policy/run_queue.h"

#define AHEAD 300.0       /* seconds before its end that a token is renewed, */
#define AHEAD_SHARE 5     /* or this part of a shorter life */
#define TOO_LATE 10.0     /* seconds before its end that it is not used, */
#define TOO_LATE_SHARE 20 /* or this part of a shorter life */
#define STAY 5.0 /* seconds that a call without need stays with a login */

static double shorter(double seconds, double life, int share) {
  return fmin(seconds, life / share);
}

static bool has_token(const struct uq_client *c) {
  const struct uq_client_token *t = &c->token;
  return uq_token_left(c) > shorter(TOO_LATE, t->life, TOO_LATE_SHARE);
}

static bool is_old(const struct uq_client *c) {
  const struct uq_client_token *t = &c->token;
  return uq_token_left(c) < shorter(AHEAD, t->life, AHEAD_SHARE) &&
         uq_client_clock(c) >= c->login.pause;
}

/* ------------------------------------------------------------------------ */
/* failures                                                                  */
/* ------------------------------------------------------------------------ */

/* Pushes the error table of a call whose login has failed: a copy of the
** login's, which other calls have as well. */
static void push_login_error(lua_State *L, int idx) {
  uqL_client_user_value(L, idx);
  lua_getfield(L, -1, "login_error");
  int from = lua_gettop(L);
  lua_getfield(L, from, "message");
  lua_pushfstring(L, UQ_LOGIN_FAILED_TEXT "%s", lua_tostring(L, -1));
  lua_remove(L, -2);
  uqL_error_new(L, UQ_AUTH);
  for (lua_pushnil(L); lua_next(L, from) != 0;) {
    if (strcmp(lua_tostring(L, -2), "message") == 0) {
      lua_pop(L, 1);
      continue;
    }
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, -4);
  }
}

static enum uq_verdict fail_login(lua_State *L, int idx, struct uq_call *call) {
  push_login_error(L, idx);
  lua_getfield(L, -1, "retryable");
  bool retryable = lua_toboolean(L, -1) != 0;
  lua_pop(L, 1);
  if (retryable)
    uqL_error_set_string(L, "retry_stopped",
                         call->login.failures > call->options.max_retries
                             ? "max_retries"
                             : "deadline");
  return uqL_call_fail_login(L, call);
}

static enum uq_verdict refuse_login(lua_State *L, struct uq_call *call,
                                    const char *why) {
  lua_pushfstring(L, UQ_LOGIN_FAILED_TEXT "%s", why);
  uqL_error_new(L, UQ_AUTH);
  uqL_error_set_string(L, "endpoint", UQ_ENDPOINT_TOKEN->name);
  return uqL_call_fail_login(L, call);
}

/* The call cannot wait for the login any longer. */
static enum uq_verdict fail_without_token(lua_State *L, struct uq_call *call,
                                          double now) {
  const struct uq_call *login = call->client->login.call;
  enum uq_call_state state = login != NULL ? login->state : UQ_CALL_ENDED;
  if (state == UQ_CALL_SLOT)
    return uqL_call_fail_rate_limited(L, call, true, now, login->task.wake);
  return uqL_call_fail_late(
      L, call,
      state == UQ_CALL_STORE ? UQ_LOGIN_FAILED_TEXT "no lock of the token store"
                             : UQ_LOGIN_FAILED_TEXT "no token",
      UQ_ENDPOINT_TOKEN);
}

/* ------------------------------------------------------------------------ */
/* the states RENEWAL and TOKEN                                              */
/* ------------------------------------------------------------------------ */

/* True if the call's time is over, or will be before the login, which waits,
** makes its next attempt. */
static bool is_too_late(const struct uq_call *call, double now) {
  const struct uq_call *login = call->client->login.call;
  return now >= call->deadline ||
         (login != NULL &&
          (login->state == UQ_CALL_SLOT || login->state == UQ_CALL_STORE) &&
          login->task.wake >= call->deadline);
}

/* True if the login that the call waited for has given it a token. That is good
** for the call, however short its life. */
static bool is_served(const struct uq_call *call) {
  const struct uq_client *c = call->client;
  return call->login.number != 0 && c->login.call == NULL &&
         c->login.failed < call->login.number && c->token.text.len > 0;
}

/* True if the login has failed, and its next attempt is too late for the call.
 */
static bool is_over_for(const struct uq_call *call) {
  const struct uq_call *login = call->client->login.call;
  return login != NULL && login->state == UQ_CALL_BACKOFF &&
         login->retries > 0 && !uq_login_can_wait(call, login->task.wake);
}

/* True if the call, which has a token, stays with the login, so that the lock
** is not left without a call that steps it. */
static bool stays(struct uq_call *call, double now) {
  const struct uq_client *c = call->client;
  if (!c->store.locked || c->login.call == NULL || c->login.call->stepped)
    return false;
  if (call->login.stays == 0 && uq_calls_want_login(c, call))
    return false;
  if (call->login.stays == 0)
    call->login.stays = now + fmin(STAY, (call->deadline - now) / 2);
  return now < call->login.stays;
}

/* True if the login that the call waited for has failed. */
static bool has_failed(const struct uq_call *call) {
  const struct uq_client *c = call->client;
  return c->login.call == NULL && call->login.number != 0 &&
         c->login.failed >= call->login.number;
}

/* Why the client cannot log in for the call. NULL: it can. */
static const char *why_refused(const struct uq_call *call) {
  const struct uq_client *c = call->client;
  const struct uq_call *login = c->login.call;
  if (login == NULL && call->login.begun)
    return "its token was dropped before it could be used";
  if ((c->store.running || (login != NULL && login->stepped)) &&
      !call->is_object)
    return "its hooks and the token store must not use its client";
  return NULL;
}

/* The call needs a token: it waits for the login, begun or not. */
static enum uq_verdict wait_for_login(lua_State *L, int idx,
                                      struct uq_call *call, double now) {
  const struct uq_client *c = call->client;
  if (has_failed(call))
    return fail_login(L, idx, call);
  const char *why = why_refused(call);
  if (why != NULL)
    return refuse_login(L, call, why);
  if (is_over_for(call))
    return fail_login(L, idx, call);
  if (c->login.call != NULL)
    call->login.number = c->login.begun;
  if (is_too_late(call, now))
    return fail_without_token(L, call, now);
  uq_call_enter(call, UQ_CALL_TOKEN, call->deadline);
  return UQ_WAIT;
}

enum uq_verdict uqL_login_wait_state(lua_State *L, int idx,
                                     struct uq_call *call) {
  double now = uq_client_clock(call->client);
  if (!has_token(call->client) && !is_served(call))
    return wait_for_login(L, idx, call, now);
  if (stays(call, now)) {
    uq_call_enter(call, UQ_CALL_TOKEN, fmin(call->deadline, call->login.stays));
    return UQ_WAIT;
  }
  uq_call_enter(call, UQ_CALL_ADMISSION, 0);
  uqL_login_leave(L, idx);
  if (uq_call_is_over(call)) /* a function of the store has closed the client */
    return uqL_call_fail_ended(L, call);
  return UQ_GO;
}

enum uq_call_state uq_login_wait_entry(const struct uq_call *call) {
  const struct uq_client *c = call->client;
  if (c->api_key.len == 0)
    return UQ_CALL_ADMISSION;
  if (!has_token(c))
    return UQ_CALL_TOKEN;
  return c->login.call != NULL || (is_old(c) && call->login.stays == 0)
             ? UQ_CALL_RENEWAL
             : UQ_CALL_ADMISSION;
}

bool uq_login_wait_concerns(const struct uq_call *call) {
  return call->state == UQ_CALL_TOKEN || call->state == UQ_CALL_RENEWAL;
}

bool uq_login_wait_is_due(const struct uq_call *call) {
  const struct uq_call *login = call->client->login.call;
  return uq_login_wait_concerns(call) &&
         (login == NULL || (uq_call_is_due(login) && !login->stepped));
}

/* True if the call needs a login, and may begin one: it has not begun another
** for this attempt, nor has that failed. */
static bool may_begin(const struct uq_call *call) {
  return !call->login.begun && !has_failed(call);
}

/* Begins a login if the call needs one, or if the client's token is old. */
static void begin_login(lua_State *L, struct uq_call *call, int uv) {
  struct uq_client *c = call->client;
  if (has_token(c) || is_served(call)) {
    if (is_old(c))
      uqL_login_begin(L, c, uv);
  } else if (may_begin(call)) {
    call->login.begun = true;
    uqL_login_begin(L, c, uv);
    call->login.number = c->login.begun;
  }
}

void uqL_login_wait_step(lua_State *L, int idx, struct uq_call *call) {
  struct uq_client *c = call->client;
  int top = lua_gettop(L);
  luaL_checkstack(L, LUA_MINSTACK, "a login");
  uqL_client_user_value(L, idx);
  if (c->login.call == NULL)
    begin_login(L, call, top + 1);
  if (!uq_call_is_over(call) && uq_login_wait_is_due(call) &&
      c->login.call != NULL)
    uqL_login_step(L, c, top + 1);
  lua_settop(L, top);
}
