/*
** login.c - a token by client_id and api_key. The login is a call of its own,
** of the token endpoint, that the client keeps in its peer table: one at a time
** for all its calls, stepped by whichever of them is stepped. It is made at the
** first need, and ahead of the token's end while that is still good.
** https://developers.uqpay.com/account-center/v1.6/api-reference/access-token
** SPDX-License-Identifier: MIT
*/
#include <string.h>

#include "call.h"
#include "clock.h"

#define LIFE_ASSUMED \
  1800.0                  /* seconds: documented; for an end that is nonsense */
#define AHEAD 300.0       /* seconds before its end that a token is renewed, */
#define AHEAD_SHARE 5     /* or this part of a shorter life */
#define TOO_LATE 10.0     /* seconds before its end that it is not used, */
#define TOO_LATE_SHARE 20 /* or this part of a shorter life */
#define PAUSE 10.0        /* seconds after a login ahead of need has failed */

static double shorter(double seconds, double life, int share) {
  double part = life / share;
  return part < seconds ? part : seconds;
}

static bool has_token(const struct uq_client *c) {
  return uq_token_left(c) > shorter(TOO_LATE, c->token_life, TOO_LATE_SHARE);
}

static bool is_old(const struct uq_client *c) {
  return uq_token_left(c) < shorter(AHEAD, c->token_life, AHEAD_SHARE) &&
         uq_clock() >= c->login_pause;
}

/* Begins a login. Its call belongs to the peer table of the client of the call
** at idx. */
static void begin(lua_State *L, int idx) {
  struct uq_call *call = lua_touserdata(L, idx);
  struct uq_client *c = call->client;
  struct uq_options o = c->options;
  o.currency[0] = o.on_behalf_of[0] = '\0';
  o.amounts = UQ_AMOUNTS_NUMBER;
  uqL_client_peer(L, idx);
  lua_getfield(L, -1, "client");
  uqL_call_login(L, lua_gettop(L), &o);
  lua_setfield(L, -3, "login");
  lua_pop(L, 2);
}

/* The end that a server gives a token at idx: Unix seconds, as a number or its
** digits; 0: nothing of the kind. */
static double read_end(lua_State *L, int idx) {
  double end = lua_isnumber(L, idx) ? (double)lua_tonumber(L, idx) : 0;
  return end > 0 ? end : 0;
}

/* The login has its results in the table at the top: the token's table, or nil,
** message, error. The peer table of the client is at peer. */
static void finish(lua_State *L, struct uq_client *c, int peer) {
  int results = lua_gettop(L);
  lua_rawgeti(L, results, 1);
  if (lua_istable(L, -1)) {
    size_t len;
    lua_getfield(L, -1, "auth_token");
    lua_getfield(L, -2, "expired_at");
    lua_getfield(L, -3, "stored");
    const char *text = lua_tolstring(L, -3, &len);
    if (uq_token_put(c, text, len, read_end(L, -2), LIFE_ASSUMED) != NULL)
      luaL_error(L, "not enough memory"); /* the schema has seen to the rest */
    if (c->share && !lua_toboolean(L, -1))
      uqL_share_put(L, c, peer, text, len);
  } else {
    c->login_failed = c->logins;
    c->login_pause = uq_clock() + PAUSE;
  }
  lua_settop(L, results);
  uqL_share_end(L, c, peer);
}

/* Lets the login go on. The peer table of the client is at the top. */
static void go_on(lua_State *L, struct uq_client *c) {
  int peer = lua_gettop(L);
  struct uq_call *login = c->login;
  if (login->busy) /* one of its own hooks has called */
    return;
  lua_getfield(L, peer, "login");
  if (!uqL_call_step(L, peer + 1)) {
    lua_settop(L, peer);
    return;
  }
  if (c->login != login) { /* closed, or settled by somebody meanwhile */
    lua_settop(L, peer);
    return;
  }
  c->login = NULL;
  uqL_getpeer(L, peer + 1);
  finish(L, c, peer);
  lua_rawgeti(L, -1, 3);
  lua_setfield(L, peer, "login_error");
  lua_pushnil(L);
  lua_setfield(L, peer, "login");
  lua_settop(L, peer);
}

/* Pushes the error table of a call whose login has failed: a copy of the
** login's, which other calls have as well. The peer table is at the top. */
static void push_failure(lua_State *L) {
  lua_getfield(L, -1, "login_error");
  int from = lua_gettop(L);
  lua_getfield(L, from, "message");
  lua_pushfstring(L, "login failed: %s", lua_tostring(L, -1));
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
  lua_remove(L, from);
}

static enum uq_login_state refuse(lua_State *L, const char *why) {
  lua_pushstring(L, why);
  uqL_error_new(L, UQ_AUTH);
  return UQ_LOGIN_FAILED;
}

/* A call without a token joins the login, or begins one; once. */
static enum uq_login_state wait(lua_State *L, int idx) {
  struct uq_call *call = lua_touserdata(L, idx);
  struct uq_client *c = call->client;
  int top = lua_gettop(L);
  if (call->login == 0) {
    if (c->login == NULL)
      begin(L, idx);
    call->login = c->logins;
  }
  uqL_client_peer(L, idx);
  if (c->login != NULL && c->login->busy)
    return refuse(L, "the login's own hooks must not use its client");
  if (c->login != NULL)
    go_on(L, c);
  if (call->client == NULL || has_token(c)) {
    lua_settop(L, top);
    return UQ_LOGIN_DONE;
  }
  if (c->login != NULL && c->logins == call->login) {
    lua_settop(L, top);
    return UQ_LOGIN_WAIT;
  }
  if (c->login_failed >= call->login)
    push_failure(L);
  else
    return refuse(L, "the token of the login was refused");
  lua_replace(L, top + 1);
  return UQ_LOGIN_FAILED;
}

enum uq_login_state uqL_login(lua_State *L, int idx) {
  struct uq_call *call = lua_touserdata(L, idx);
  struct uq_client *c = call->client;
  if (c->api_key.len == 0 || call == c->login)
    return UQ_LOGIN_DONE;
  if (!has_token(c))
    return wait(L, idx);
  if (c->login == NULL && is_old(c))
    begin(L, idx);
  if (c->login != NULL) {
    uqL_client_peer(L, idx);
    go_on(L, c);
    lua_pop(L, 1);
  }
  return UQ_LOGIN_DONE;
}
