/*
** login.c - see login.h.
** SPDX-License-Identifier: MIT
*/
#include "binding/login.h"

#include <math.h>

#include "binding/admission.h"
#include "binding/attempt.h"
#include "binding/auxlib.h"
#include "binding/call_error.h"
#include "binding/client.h"
#include "binding/client_clock.h"
#include "binding/compat.h"
#include "binding/course.h"
#include "binding/error.h"
#include "binding/options.h"
#include "binding/token.h"
#include "binding/token_store.h"
#include "engine/api/endpoint.h"
#include "engine/base/buf.h"
#include "engine/base/error_kind.h"
#include "engine/http/transfer.h"

/* Seconds: documented; for an end that is nonsense. */
#define LIFE_ASSUMED 1800.0

/* Seconds after a login that failed in which a good token is not renewed. */
#define PAUSE 10.0

/* The limit of an attempt: half of the client's timeout, from 5 seconds to 30;
** of a short timeout three quarters, so that another attempt may be in time. */
#define LIMIT_SHARE 0.5
#define LIMIT_SHARE_MAX 0.75
#define LIMIT_MIN 5.0
#define LIMIT_MAX 30.0
#define LIMIT_GROWN 15.0 /* it doubles after silence up to this, at least */

/* ------------------------------------------------------------------------ */
/* the login                                                                 */
/* ------------------------------------------------------------------------ */

/* The limit of the first attempt. */
static double first_limit(const struct uq_client *c) {
  double timeout = c->options.timeout;
  double least = fmin(timeout * LIMIT_SHARE_MAX, LIMIT_MIN);
  return fmin(fmax(timeout * LIMIT_SHARE, least), LIMIT_MAX);
}

/* Seconds that the next attempt may take. */
static double attempt_limit(const struct uq_client *c) {
  return c->login.limit > 0 ? c->login.limit : first_limit(c);
}

/* After silence the next attempt has more time: the server may be slow. Then
** its responses show how slow. */
static void login_responded(struct uq_call *login, bool good) {
  struct uq_client *c = login->client;
  double seconds;
  (void)good;
  if (login->response.kind == UQ_TIMEOUT)
    seconds = attempt_limit(c);
  else if (login->response.status != 0)
    seconds = uq_client_clock(c) - login->attempt.begun;
  else
    return;
  double most = fmax(LIMIT_GROWN, c->options.timeout * LIMIT_SHARE_MAX);
  c->login.limit =
      fmax(first_limit(c), fmin(2 * seconds, fmin(most, LIMIT_MAX)));
}

bool uq_login_can_wait(const struct uq_call *call, double wake) {
  return call->login.failures <= call->options.max_retries &&
         wake < call->deadline;
}

/* True if some call that waits for the login has retries and time left, or if
** none waits and the client's max_retries allow another attempt. The failure is
** not counted for a call that has just come. */
static bool login_may_retry(struct uq_call *login, double wake) {
  const struct uq_client *c = login->client;
  bool wanted = false;
  if (!uq_calls_want_login(c, NULL))
    return login->retries <= login->options.max_retries;
  for (struct uq_call *call = c->calls; call != NULL; call = call->next) {
    if (call->state != UQ_CALL_TOKEN)
      continue;
    if (call->login.number == c->login.begun)
      call->login.failures++;
    wanted = wanted || uq_login_can_wait(call, wake);
  }
  return wanted;
}

/* Keeps the error table at the top for calls that cannot wait for another
** attempt of the login at idx. */
static void login_retries(lua_State *L, int idx) {
  uqL_call_complete_error(L, lua_touserdata(L, idx), NULL);
  uqL_client_user_value(L, idx);
  lua_pushvalue(L, -2);
  lua_setfield(L, -2, "login_error");
  lua_pop(L, 1);
}

/* The store has a token, and its end is at the top: the login's results. */
static enum uq_verdict take_stored(lua_State *L, struct uq_call *login) {
  lua_createtable(L, 0, 3);
  lua_pushvalue(L, -3);
  lua_setfield(L, -2, "auth_token");
  lua_pushvalue(L, -2);
  lua_setfield(L, -2, "expired_at");
  lua_pushboolean(L, 1);
  lua_setfield(L, -2, "stored");
  uq_call_end(login, true);
  login->pushed = 1;
  return UQ_RESULTS;
}

/* Looks into the token store, and locks it. */
static enum uq_verdict ask_store(lua_State *L, int idx, struct uq_call *login) {
  uqL_client_user_value(L, idx);
  enum uq_token_store_state state =
      uqL_token_store_begin(L, login->client, lua_gettop(L));
  /* a function of the store may have closed the client */
  if (uq_call_is_over(login))
    return uqL_call_fail_ended(L, login);
  switch (state) {
  case UQ_TOKEN_STORE_FOUND:
    return take_stored(L, login);
  case UQ_TOKEN_STORE_BUSY:
    uq_call_enter(login, UQ_CALL_STORE,
                  uq_client_clock(login->client) + UQ_TOKEN_STORE_RETRY);
    return UQ_WAIT;
  case UQ_TOKEN_STORE_FAILED:
    return uqL_call_fail_with(L, login, UQ_CONFIG, lua_tostring(L, -1));
  default:
    return UQ_GO;
  }
}

/* START: no token was refused a moment ago, and the store has none. */
static enum uq_verdict login_start(lua_State *L, int idx,
                                   struct uq_call *login) {
  const struct uq_client *c = login->client;
  if (uq_client_clock(c) < c->login.after) {
    uq_call_enter(login, UQ_CALL_BACKOFF, c->login.after);
    return UQ_WAIT;
  }
  if (c->store.given) {
    enum uq_verdict verdict = ask_store(L, idx, login);
    if (verdict != UQ_GO)
      return verdict;
  }
  uq_call_enter(login, UQ_CALL_ADMISSION, 0);
  return UQ_GO;
}

static enum uq_verdict login_admission(lua_State *L, int idx,
                                       struct uq_call *login) {
  enum uq_verdict verdict = uq_admission_login(login);
  login->login.limit = attempt_limit(login->client);
  return verdict == UQ_GO ? uqL_attempt_begin(L, idx, login) : verdict;
}

static const struct uq_course login_course = {
    .is_login = true,
    .states = {[UQ_CALL_START] = login_start,
               [UQ_CALL_STORE] = uqL_state_pause,
               [UQ_CALL_ADMISSION] = login_admission,
               [UQ_CALL_SLOT] = uqL_state_pause,
               [UQ_CALL_IN_FLIGHT] = uqL_attempt_in_flight,
               [UQ_CALL_BACKOFF] = uqL_state_pause,
               [UQ_CALL_ENDED] = uqL_state_ended},
    .responded = login_responded,
    .may_retry = login_may_retry,
    .retries = login_retries};

/* ------------------------------------------------------------------------ */
/* its life                                                                  */
/* ------------------------------------------------------------------------ */

/* The login belongs to the client's user value. Makes the call at idx the
** login, or none if idx is 0. The client's user value is at uv. */
static void set_login(lua_State *L, struct uq_client *c, int uv, int idx) {
  if (idx != 0)
    lua_pushvalue(L, idx);
  else
    lua_pushboolean(L, 0);
  lua_rawseti(L, uv, UQ_USER_VALUE_LOGIN);
  c->login.call = idx != 0 ? lua_touserdata(L, idx) : NULL;
}

void uqL_login_begin(lua_State *L, struct uq_client *c, int uv) {
  struct uq_options o = c->options;
  o.currency[0] = o.on_behalf_of[0] = '\0';
  o.amounts = UQ_AMOUNTS_STRING; /* takes any number */
  lua_getfield(L, uv, "client");
  lua_pushliteral(L, "");
  struct uq_call *login = uqL_call_push_object(L, uv + 1);
  /* a finalizer may have closed the client, or have begun a login */
  if (c->login.call == NULL &&
      uq_call_begin(login, c, &login_course, UQ_ENDPOINT_TOKEN, "", &o)) {
    login->deadline = HUGE_VAL; /* the calls that wait for it have theirs */
    set_login(L, c, uv, lua_gettop(L));
    login->login.number = ++c->login.begun;
  }
  lua_settop(L, uv);
}

/* The end that a server or store gives a token at idx: Unix seconds, as a
** number or its digits; 0: nothing of the kind. */
static double read_end(lua_State *L, int idx) {
  double end = lua_isnumber(L, idx) ? (double)lua_tonumber(L, idx) : 0;
  return end > 0 ? end : 0;
}

/* The client takes the token in the table at 4. */
static void take_token(lua_State *L, const struct uq_call *login) {
  struct uq_client *c = login->client;
  size_t len;
  lua_getfield(L, 4, "auth_token");
  lua_getfield(L, 4, "expired_at");
  lua_getfield(L, 4, "stored");
  const char *text = lua_tolstring(L, 5, &len);
  if (login->login.token.len > 0) {
    text = login->login.token.data;
    len = login->login.token.len;
  }
  if (uq_token_put(c, text, len, read_end(L, 6), LIFE_ASSUMED) != NULL)
    uqL_no_memory(L); /* the schema has seen to the rest */
  c->token.from_store = lua_toboolean(L, 7) != 0;
  if (c->store.given && !c->token.from_store)
    uqL_token_store_put(L, c, 1, text, len);
}

/* login_finish(client's user value, login): takes the login's results, a
** token's table or nil, message, error. The store's lock is held. */
static int login_finish(lua_State *L) {
  const struct uq_call *login = lua_touserdata(L, 2);
  struct uq_client *c = login->client;
  uqL_get_user_value(L, 2);
  lua_rawgeti(L, 3, 1);
  if (c->transport == NULL)
    return 0; /* closed by a hook of the login */
  if (lua_istable(L, 4)) {
    take_token(L, login);
  } else {
    c->login.failed = login->login.number;
    c->login.pause = uq_client_clock(c) + PAUSE;
    lua_rawgeti(L, 3, 3);
    lua_setfield(L, 1, "login_error");
  }
  return 0;
}

/* An error has ended the login. The calls that wait for it are due, and may
** begin another one. */
static void lose_login(struct uq_client *c) {
  for (struct uq_call *call = c->calls; call != NULL; call = call->next)
    call->login.begun = false;
  uq_calls_login_over(c);
}

/* The login at idx is over. The client has no login any more: a function of the
** store or a finalizer may begin another, which must wait for the lock.
** `login_finish` is above it on the stack. The calls that wait for it are due.
*/
static void end_login(lua_State *L, struct uq_client *c, int uv, int idx) {
  struct uq_call *login = lua_touserdata(L, idx);
  bool was_running = c->store.running;
  set_login(L, c, uv, 0);
  c->store.running = true;
  lua_pushvalue(L, uv);
  lua_pushvalue(L, idx);
  int status = lua_pcall(L, 2, 0, 0);
  c->store.running = was_running;
  uq_buf_free(&login->login.token);
  uqL_token_store_end(L, c, uv);
  if (status == LUA_OK) {
    uq_calls_login_over(c);
  } else {
    lose_login(c);
    lua_error(L);
  }
}

/* login_step(login), in protected mode. */
static int login_step(lua_State *L) {
  struct uq_call *login = lua_touserdata(L, 1);
  int results = login->results == 0 ? uqL_course_step(L, 1, login) : 0;
  if (results > 0)
    uqL_course_keep_results(L, 1, login, results);
  return 0;
}

void uqL_login_step(lua_State *L, struct uq_client *c, int uv) {
  struct uq_call *login = c->login.call;
  lua_rawgeti(L, uv, UQ_USER_VALUE_LOGIN);
  /* allocates on 5.1: nothing has happened yet */
  lua_pushcfunction(L, login_finish);
  bool good = uqL_course_try(L, uv + 1, login_step);
  if (good && login->results > 0 && c->login.call == login)
    end_login(L, c, uv, uv + 1);
  else if (!good && c->login.call == login)
    set_login(L, c, uv, 0);
  if (!good) {
    lose_login(c);
    lua_error(L);
  }
  lua_settop(L, uv);
}

void uqL_login_abandon_if_unwanted(lua_State *L, struct uq_client *c, int uv) {
  if (c->transport == NULL || !c->store.locked || c->store.running ||
      (c->login.call != NULL && c->login.call->stepped) ||
      uq_calls_want_login(c, NULL))
    return;
  if (c->login.call != NULL) {
    uq_call_stop(c->login.call, &uq_ending_canceled);
    set_login(L, c, uv, 0);
    c->login.pause = uq_client_clock(c) + PAUSE;
    uq_calls_publish(c, true); /* a call may have waited for its connection */
  }
  uqL_token_store_end(L, c, uv);
}

void uqL_login_leave(lua_State *L, int idx) {
  const struct uq_call *call = lua_touserdata(L, idx);
  struct uq_client *c = call->client;
  if (c == NULL || !c->store.locked)
    return;
  uqL_client_user_value(L, idx);
  uqL_login_abandon_if_unwanted(L, c, lua_gettop(L));
  lua_pop(L, 1);
}
