/*
** login.c - a token by client_id and api_key. The login is a call of its own,
** of the token endpoint, that the client keeps in its peer table: one at a time
** for all its calls, stepped by whichever of them is stepped. It is made at the
** first need, and ahead of the token's end while that is still good.
**
** Calls that wait for it share the work, and nothing else: each has its own
** timeout and retries. The limit of an attempt of the login is fixed when it is
** sent. When it fails, another one is made if some call still waits for it that
** has retries and time left.
**
** A login in flight may be left alone: the next call finds its answer. Not so
** while it holds the lock of the token store, for which other processes wait:
** some call stays with it, or it ends and the lock is given back.
** https://developers.uqpay.com/account-center/v1.6/api-reference/access-token
** SPDX-License-Identifier: MIT
*/
#include "binding/login.h"

#include <math.h>
#include <string.h>

#include "binding/attempt.h"
#include "binding/call.h"
#include "binding/client.h"
#include "binding/compat.h"
#include "binding/error.h"
#include "binding/options.h"
#include "binding/token.h"
#include "binding/token_store.h"
#include "engine/api/endpoint.h"
#include "engine/base/buf.h"
#include "engine/base/clock.h"
#include "engine/base/error_kind.h"

/* Seconds: documented; for an end that is nonsense. */
#define LIFE_ASSUMED 1800.0

#define AHEAD 300.0       /* seconds before its end that a token is renewed, */
#define AHEAD_SHARE 5     /* or this part of a shorter life */
#define TOO_LATE 10.0     /* seconds before its end that it is not used, */
#define TOO_LATE_SHARE 20 /* or this part of a shorter life */
#define PAUSE 10.0        /* seconds after a login ahead of need has failed */
#define ATTENDED 5.0      /* seconds that a call without need stays with one */

/* The limit of an attempt: half of the client's timeout, from 5 seconds to 30;
** of a short timeout three quarters, so that another attempt may be in time. */
#define LIMIT_SHARE 0.5
#define LIMIT_SHARE_MAX 0.75
#define LIMIT_MIN 5.0
#define LIMIT_MAX 30.0
#define LIMIT_GROWN 15.0 /* it doubles after silence up to this, at least */

static double shorter(double seconds, double life, int share) {
  return fmin(seconds, life / share);
}

static bool has_token(const struct uq_client *c) {
  return uq_token_left(c) > shorter(TOO_LATE, c->token.life, TOO_LATE_SHARE);
}

static bool is_old(const struct uq_client *c) {
  return uq_token_left(c) < shorter(AHEAD, c->token.life, AHEAD_SHARE) &&
         uq_clock() >= c->login.pause;
}

/* ------------------------------------------------------------------------ */
/* the login                                                                 */
/* ------------------------------------------------------------------------ */

/* The limit of the first attempt. */
static double first_limit(const struct uq_client *c) {
  double timeout = c->options.timeout;
  double least = fmin(timeout * LIMIT_SHARE_MAX, LIMIT_MIN);
  return fmin(fmax(timeout * LIMIT_SHARE, least), LIMIT_MAX);
}

double uq_login_limit(const struct uq_client *c) {
  return c->login.limit > 0 ? c->login.limit : first_limit(c);
}

/* After silence the next attempt has more time: the server may be slow. Then
** its answers tell how slow. */
void uq_login_took(const struct uq_call *login) {
  struct uq_client *c = login->home;
  double seconds;
  if (login->answer.kind == UQ_TIMEOUT)
    seconds = uq_login_limit(c);
  else if (login->answer.status != 0)
    seconds = uq_clock() - login->attempted;
  else
    return;
  double most = fmax(LIMIT_GROWN, c->options.timeout * LIMIT_SHARE_MAX);
  c->login.limit =
      fmax(first_limit(c), fmin(2 * seconds, fmin(most, LIMIT_MAX)));
}

/* The login belongs to the client's peer table. Makes the call at idx the
** login, or none if idx is 0. The peer table is at peer. */
static void set_login(lua_State *L, struct uq_client *c, int peer, int idx) {
  if (idx != 0)
    lua_pushvalue(L, idx);
  else
    lua_pushboolean(L, 0);
  lua_rawseti(L, peer, UQ_USER_VALUE_LOGIN);
  c->login.call = idx != 0 ? lua_touserdata(L, idx) : NULL;
}

/* Begins a login, unless the client is closed. The peer table is at the top. */
static void begin(lua_State *L, struct uq_client *c) {
  int peer = lua_gettop(L);
  struct uq_options o = c->options;
  o.currency[0] = o.on_behalf_of[0] = '\0';
  o.amounts = UQ_AMOUNTS_STRING; /* takes any number */
  lua_getfield(L, peer, "client");
  struct uq_call *login = uqL_call_login(L, peer + 1, &o);
  if (login != NULL &&
      c->login.call != NULL) { /* a finalizer's call has begun one */
    uq_call_cancel(login);
  } else if (login != NULL) {
    set_login(L, c, peer, lua_gettop(L));
    login->login = ++c->login.begun;
  }
  lua_settop(L, peer);
}

/* The end that a server or store gives a token at idx: Unix seconds, as a
** number or its digits; 0: nothing of the kind. */
static double read_end(lua_State *L, int idx) {
  double end = lua_isnumber(L, idx) ? (double)lua_tonumber(L, idx) : 0;
  return end > 0 ? end : 0;
}

/* finish(peer, login): the client takes what the login has come to, a token's
** table or nil, message, error. The store's lock is held. */
static int finish(lua_State *L) {
  const struct uq_call *login = lua_touserdata(L, 2);
  struct uq_client *c = login->home;
  uqL_get_user_value(L, 2);
  lua_rawgeti(L, 3, 1);
  if (c->transport == NULL)
    return 0; /* closed by a hook of the login: nobody wants it any more */
  if (lua_istable(L, 4)) {
    size_t len;
    lua_getfield(L, 4, "auth_token");
    lua_getfield(L, 4, "expired_at");
    lua_getfield(L, 4, "stored");
    const char *text = lua_tolstring(L, 5, &len);
    if (login->token.len > 0) {
      text = login->token.data;
      len = login->token.len;
    }
    if (uq_token_put(c, text, len, read_end(L, 6), LIFE_ASSUMED) != NULL)
      luaL_error(L, "not enough memory"); /* the schema has seen to the rest */
    c->token.from_store = lua_toboolean(L, 7) != 0;
    if (c->store.given && !c->token.from_store)
      uqL_token_store_put(L, c, 1, text, len);
  } else {
    c->login.failed = login->login;
    c->login.pause = uq_clock() + PAUSE;
    lua_rawgeti(L, 3, 3);
    lua_setfield(L, 1, "login_error");
  }
  return 0;
}

/* The login at idx is over, and the client's no more: a store's function or a
** finalizer may begin another, which must wait for the lock. finish is above
** it. The peer table is at peer. */
static void end_login(lua_State *L, struct uq_client *c, int peer, int idx) {
  struct uq_call *login = lua_touserdata(L, idx);
  bool within = c->store.running;
  set_login(L, c, peer, 0);
  c->store.running = true;
  lua_pushvalue(L, peer);
  lua_pushvalue(L, idx);
  int status = lua_pcall(L, 2, 0, 0);
  c->store.running = within;
  uq_buf_free(&login->token);
  uqL_token_store_end(L, c, peer);
  if (status != LUA_OK)
    lua_error(L);
}

/* Lets the login go on. The peer table of the client is at the top. */
static void go_on(lua_State *L, struct uq_client *c) {
  int peer = lua_gettop(L);
  struct uq_call *login = c->login.call;
  lua_rawgeti(L, peer, UQ_USER_VALUE_LOGIN);
  lua_pushcfunction(L, finish); /* allocates on 5.1: nothing has happened yet */
  /* it may be busy, or finished by another call's step in the same moment */
  if (uqL_call_step(L, peer + 1) && c->login.call == login)
    end_login(L, c, peer, peer + 1);
  lua_settop(L, peer);
}

/* Does a call wait for the login? */
static bool is_attended(const struct uq_client *c) {
  const struct uq_call *call = c->calls;
  while (call != NULL && call->state != UQ_CALL_LOGIN)
    call = call->next;
  return call != NULL;
}

/* True if the call can wait for another attempt of the login, made at `wake`.
 */
static bool can_wait(const struct uq_call *call, double wake) {
  return call->login_failures <= call->options.max_retries &&
         wake < call->deadline;
}

/* A failure is not counted for a call that has just come. */
bool uq_login_wanted(const struct uq_call *login, double wake) {
  const struct uq_client *c = login->client;
  bool wanted = false;
  if (!is_attended(c))
    return login->retries <= login->options.max_retries;
  for (struct uq_call *call = c->calls; call != NULL; call = call->next) {
    if (call->state != UQ_CALL_LOGIN)
      continue;
    if (call->login == c->login.begun)
      call->login_failures++;
    wanted = wanted || can_wait(call, wake);
  }
  return wanted;
}

void uqL_login_keep_error(lua_State *L, int idx) {
  uqL_client_user_value(L, idx);
  lua_pushvalue(L, -2);
  lua_setfield(L, -2, "login_error");
  lua_pop(L, 1);
}

void uqL_login_abandon_if_unwanted(lua_State *L, int idx) {
  const struct uq_call *call = lua_touserdata(L, idx);
  struct uq_client *c = call->home;
  if (c == NULL || c->transport == NULL || !c->store.locked ||
      c->store.running || (c->login.call != NULL && c->login.call->busy) ||
      is_attended(c))
    return;
  uqL_client_user_value(L, idx);
  int peer = lua_gettop(L);
  if (c->login.call != NULL) {
    uq_call_cancel(c->login.call);
    set_login(L, c, peer, 0);
    c->login.pause = uq_clock() + PAUSE;
  }
  uqL_token_store_end(L, c, peer);
  lua_pop(L, 1);
}

/* ------------------------------------------------------------------------ */
/* the calls                                                                 */
/* ------------------------------------------------------------------------ */

/* Pushes the error table of a call whose login has failed: a copy of the
** login's, which other calls have as well. The peer table is at the top. */
static enum uq_login_state fail(lua_State *L, const struct uq_call *call) {
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
  lua_getfield(L, -1, "retryable");
  bool retryable = lua_toboolean(L, -1) != 0;
  lua_pop(L, 1);
  if (retryable)
    uqL_error_set_string(L, "retry_stopped",
                         call->login_failures > call->options.max_retries
                             ? "max_retries"
                             : "deadline");
  return UQ_LOGIN_FAILED;
}

static enum uq_login_state refuse(lua_State *L, const char *why) {
  lua_pushfstring(L, UQ_LOGIN_FAILED_TEXT "%s", why);
  uqL_error_new(L, UQ_AUTH);
  uqL_error_set_string(L, "endpoint", UQ_ENDPOINT_TOKEN->name);
  return UQ_LOGIN_FAILED;
}

/* Has the login that the call waited for given it a token? It is good for the
** call, however short its life. */
static bool is_served(const struct uq_call *call) {
  const struct uq_client *c = call->client;
  return call->login != 0 && c->login.call == NULL &&
         c->login.failed < call->login && c->token.text.len > 0;
}

/* The call waits for the login, too. */
static void join(struct uq_call *call) { call->login = call->home->login.begun; }

/* True if the login has failed, and its next attempt is too late for the call.
 */
static bool is_over_for(const struct uq_call *call) {
  const struct uq_call *login = call->client->login.call;
  return login != NULL && login->state == UQ_CALL_WAITING &&
         login->waits_for == UQ_WAIT_RETRY && login->retries > 0 &&
         !can_wait(call, login->turn.wake);
}

/* A call without a token waits for the login, or begins one; once. The failure
** of one that was left alone is not its own: that answer may be an hour old.
** The client's peer table is at the top. */
static enum uq_login_state wait(lua_State *L, struct uq_call *call) {
  struct uq_client *c = call->client;
  if (c->login.call != NULL && !is_attended(c))
    uq_attempt_look(c->login.call);
  call->state =
      UQ_CALL_LOGIN; /* uqL_login_abandon_if_unwanted must know of it */
  do {
    if (c->login.call == NULL) {
      if (call->login != 0 && c->login.failed >= call->login)
        return fail(L, call);
      if (call->login_begun)
        return refuse(L, "its token was dropped before it could be used");
      call->login_begun = true;
      begin(L, c);
      join(call);
    }
    bool busy = c->store.running || (c->login.call != NULL && c->login.call->busy);
    if (busy && !call->is_object)
      return refuse(L, "its hooks and the token store must not use its client");
    if (c->login.call != NULL)
      go_on(L, c);
    if (call->client != NULL && is_over_for(call))
      return fail(L, call);
    if (call->client != NULL && c->login.call != NULL) {
      join(call);
      return UQ_LOGIN_WAIT;
    }
  } while (call->client != NULL && !has_token(c) && !is_served(call));
  return UQ_LOGIN_DONE;
}

/* Does the call, which has a token, stay with the login, so that this is not
** left alone with the lock? */
static bool attends(struct uq_call *call) {
  const struct uq_client *c = call->client;
  double now = uq_clock();
  if (!c->store.locked || c->login.call == NULL || c->login.call->busy)
    return false;
  if (call->attends == 0 && is_attended(c))
    return false;
  if (call->attends == 0)
    call->attends = now + fmin(ATTENDED, (call->deadline - now) / 2);
  return now < call->attends;
}

/* A call with a token that is old, or while a login goes on. The client's peer
** table is at the top. */
static enum uq_login_state look_ahead(lua_State *L, int idx) {
  struct uq_call *call = lua_touserdata(L, idx);
  struct uq_client *c = call->client;
  if (c->login.call == NULL)
    begin(L, c);
  if (c->login.call != NULL)
    go_on(L, c);
  if (call->client == NULL)
    return UQ_LOGIN_DONE;
  if (!has_token(c)) /* a hook of the login has dropped it */
    return wait(L, call);
  if (attends(call))
    return UQ_LOGIN_WAIT;
  uqL_login_abandon_if_unwanted(L, idx);
  return UQ_LOGIN_DONE;
}

enum uq_login_state uqL_login(lua_State *L, int idx) {
  struct uq_call *call = lua_touserdata(L, idx);
  struct uq_client *c = call->client;
  if (c->api_key.len == 0 || call->is_login)
    return UQ_LOGIN_DONE;
  bool needy = !has_token(c);
  if (!needy && c->login.call == NULL && (!is_old(c) || call->attends != 0))
    return UQ_LOGIN_DONE;
  int top = lua_gettop(L);
  luaL_checkstack(L, LUA_MINSTACK, "a login");
  uqL_client_user_value(L, idx);
  enum uq_login_state state = needy ? wait(L, call) : look_ahead(L, idx);
  if (state == UQ_LOGIN_FAILED)
    lua_replace(L, ++top); /* the error table */
  lua_settop(L, top);
  return state;
}
