/*
** token_store.c - the user's token store: several processes share one token,
*since on
** some business lines a new token ends the one before. It is looked at before a
** login, locked during one, and fed after it.
** SPDX-License-Identifier: MIT
*/
#include "binding/auxlib.h"
#include "binding/token_store.h"

#include <math.h>
#include <string.h>

#include "binding/client.h"
#include "binding/compat.h"
#include "binding/error.h"
#include "binding/token.h"
#include "engine/base/clock.h"
#include "engine/http/transport.h"

#define SPARE 60.0 /* seconds that a stored token must outlast the client's */
#define MAX_MESSAGE 256

/* The functions of the store, in the client's peer table. */
#define GET "token_store.get"
#define SET "token_store.set"
#define LOCK "token_store.lock"
#define UNLOCK "token_store.unlock"

/* Calls a function of the store with the n arguments at the top, the key in
** front of them; pushes two results. False: pushes why not. peer is the index
** of the client's peer table. */
static bool ask(lua_State *L, struct uq_client *c, int peer, const char *name,
                int n) {
  int base = lua_gettop(L) - n;
  bool within = c->store.running;
  lua_getfield(L, peer, name);
  lua_insert(L, base + 1);
  lua_getfield(L, peer, "token_store");
  lua_insert(L, base + 2);
  lua_getfield(L, peer, "token_store_key");
  lua_insert(L, base + 3);
  c->store.running = true;
  bool good = lua_pcall(L, n + 2, 2, 0) == LUA_OK;
  c->store.running = within;
  if (good && (!lua_isnil(L, -2) || lua_isnil(L, -1)))
    return true;
  const char *text = lua_tostring(L, -1);
  if (text == NULL)
    text = "no reason given";
  lua_pushfstring(L, "%s: ", name);
  uqL_push_shown(L, text, strlen(text), MAX_MESSAGE);
  lua_concat(L, 2);
  return false;
}

static bool has_lock(lua_State *L, int peer) {
  lua_getfield(L, peer, LOCK);
  bool found = !lua_isnil(L, -1);
  lua_pop(L, 1);
  return found;
}

/* Does the token at -2, with its end at -1, save a login? One that cannot be
** sent is as good as none: a damaged store is mended by the next login. */
static bool is_good(lua_State *L, const struct uq_client *c) {
  size_t len;
  const char *text = lua_tolstring(L, -2, &len);
  if (uq_token_check(text, len) != NULL || uq_token_known(&c->token, text, len))
    return false;
  if (lua_isnil(L, -1)) /* it may be the newer one */
    return true;
  double left = (double)lua_tonumber(L, -1) - uq_clock_unix();
  return left > fmax(uq_token_left(&c->token), 0) + SPARE;
}

/* Looks for a token in the store. FOUND: pushes it and its end. */
static enum uq_token_store_state look(lua_State *L, struct uq_client *c,
                                      int peer) {
  if (!ask(L, c, peer, GET, 0))
    return UQ_TOKEN_STORE_FAILED;
  if (lua_isnil(L, -2))
    return UQ_TOKEN_STORE_LOGIN;
  if (lua_type(L, -2) == LUA_TSTRING &&
      (lua_isnil(L, -1) || lua_isnumber(L, -1)))
    return is_good(L, c) ? UQ_TOKEN_STORE_FOUND : UQ_TOKEN_STORE_LOGIN;
  lua_pushfstring(L,
                  GET ": a token and its end (Unix seconds) expected, got %s "
                      "and %s",
                  luaL_typename(L, -2), luaL_typename(L, -1));
  return UQ_TOKEN_STORE_FAILED;
}

enum uq_token_store_state uqL_token_store_begin(lua_State *L,
                                                struct uq_client *c, int peer) {
  if (c->store.running) /* this is within one of its functions */
    return UQ_TOKEN_STORE_BUSY;
  enum uq_token_store_state state = look(L, c, peer);
  if (state != UQ_TOKEN_STORE_LOGIN || c->store.locked ||
      c->transport == NULL || !has_lock(L, peer))
    return state;
  if (!ask(L, c, peer, LOCK, 0))
    return UQ_TOKEN_STORE_FAILED;
  if (!lua_toboolean(L, -2))
    return UQ_TOKEN_STORE_BUSY;
  c->store.locked = true;
  return look(L, c, peer); /* somebody may have logged in just before */
}

/* A failure that ends no call is counted. */
static void tell(lua_State *L, struct uq_client *c, int peer, const char *name,
                 int n) {
  int top = lua_gettop(L) - n;
  if (!ask(L, c, peer, name, n))
    c->stats.hook_errors++;
  lua_settop(L, top);
}

void uqL_token_store_end(lua_State *L, struct uq_client *c, int peer) {
  bool locked = c->store.locked;
  bool forked = c->transport != NULL && uq_transport_forked(c->transport);
  c->store.locked = false;
  if (locked && !forked) /* the lock is the parent's otherwise */
    tell(L, c, peer, UNLOCK, 0);
}

void uqL_token_store_put(lua_State *L, struct uq_client *c, int peer,
                         const char *token, size_t len) {
  size_t prefix = uq_token_prefix(token, len);
  lua_pushlstring(L, token + prefix, len - prefix);
  uqL_pushcount(L, floor(c->token.end));
  tell(L, c, peer, SET, 2);
}

/* Calls a function that processes share, of the client's peer table, with a
** number. Pushes so many results. False: the last one is no number; that is
** counted as a failure. */
static bool call_shared(lua_State *L, struct uq_client *c, int idx,
                        const char *name, double number, int results) {
  uqL_client_user_value(L, idx);
  lua_getfield(L, -1, name);
  lua_pushnumber(L, number);
  bool good = lua_pcall(L, 1, results, 0) == LUA_OK &&
              (results == 0 || lua_isnumber(L, -1));
  if (!good)
    c->stats.hook_errors++;
  return good;
}

bool uqL_token_store_turn(lua_State *L, struct uq_client *c, int idx,
                          double left, double *wait) {
  int top = lua_gettop(L);
  bool good = call_shared(L, c, idx, "turns", left, 2);
  bool in_time = !good || lua_toboolean(L, -2);
  *wait = good ? (double)lua_tonumber(L, -1) : 0;
  lua_settop(L, top);
  return in_time;
}

double uqL_token_store_pause(lua_State *L, struct uq_client *c, int idx) {
  int top = lua_gettop(L);
  bool good = call_shared(L, c, idx, "pause", 0, 1);
  double left = good ? (double)lua_tonumber(L, -1) : 0;
  lua_settop(L, top);
  return left;
}

void uqL_token_store_hold(lua_State *L, struct uq_client *c, int idx,
                          double pause) {
  int top = lua_gettop(L);
  (void)call_shared(L, c, idx, "hold", pause, 0);
  lua_settop(L, top);
}
