/*
** token_store.c - see token_store.h.
** SPDX-License-Identifier: MIT
*/
#include "binding/token_store.h"

#include <math.h>
#include <string.h>

#include "binding/client.h"
#include "binding/client_clock.h"
#include "binding/compat.h"
#include "binding/error.h"
#include "binding/token.h"
#include "engine/http/transport.h"

#define SPARE 60.0 /* seconds that a stored token must outlast the client's */
#define MAX_MESSAGE 256

/* The functions of the store, in the client's user value. */
#define GET "token_store.get"
#define SET "token_store.set"
#define LOCK "token_store.lock"
#define UNLOCK "token_store.unlock"

/* Calls a function of the store with the store, the key, and the n arguments at
** the top, which are popped; pushes two results. False: pushes the error
** message. uv is the index of the client's user value. */
static bool call_store(lua_State *L, struct uq_client *c, int uv,
                       const char *name, int n) {
  int base = lua_gettop(L) - n;
  bool was_running = c->store.running;
  lua_getfield(L, uv, name);
  lua_insert(L, base + 1);
  lua_getfield(L, uv, "token_store");
  lua_insert(L, base + 2);
  lua_getfield(L, uv, "token_store_key");
  lua_insert(L, base + 3);
  c->store.running = true;
  bool good = lua_pcall(L, n + 2, 2, 0) == LUA_OK;
  c->store.running = was_running;
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

static bool has_lock(lua_State *L, int uv) {
  lua_getfield(L, uv, LOCK);
  bool found = !lua_isnil(L, -1);
  lua_pop(L, 1);
  return found;
}

/* True if the token at -2, with its end at -1, makes a login unnecessary: it
** can be sent, is not the one that the client has or has dropped last, and
** lasts longer. If not, the next login replaces it in the store. */
static bool is_good(lua_State *L, const struct uq_client *c) {
  size_t len;
  const char *text = lua_tolstring(L, -2, &len);
  if (uq_token_check(text, len) != NULL || uq_token_known(&c->token, text, len))
    return false;
  if (lua_isnil(L, -1)) /* it may be newer than the client's */
    return true;
  double left = (double)lua_tonumber(L, -1) - uq_client_unix(c);
  return left > fmax(uq_token_left(c), 0) + SPARE;
}

/* Looks for a token in the store. FOUND: pushes it and its end. */
static enum uq_token_store_state get_token(lua_State *L, struct uq_client *c,
                                           int uv) {
  if (!call_store(L, c, uv, GET, 0))
    return UQ_TOKEN_STORE_FAILED;
  if (lua_isnil(L, -2))
    return UQ_TOKEN_STORE_LOGIN;
  if (lua_type(L, -2) == LUA_TSTRING &&
      (lua_isnil(L, -1) || lua_isnumber(L, -1)))
    return is_good(L, c) ? UQ_TOKEN_STORE_FOUND : UQ_TOKEN_STORE_LOGIN;
  lua_pushfstring(L,
                  GET ": a token and its expiry (Unix seconds) expected, got "
                      "%s and %s",
                  luaL_typename(L, -2), luaL_typename(L, -1));
  return UQ_TOKEN_STORE_FAILED;
}

enum uq_token_store_state uqL_token_store_begin(lua_State *L,
                                                struct uq_client *c, int uv) {
  if (c->store.running) /* one of its functions has called this */
    return UQ_TOKEN_STORE_BUSY;
  enum uq_token_store_state state = get_token(L, c, uv);
  if (state != UQ_TOKEN_STORE_LOGIN || c->store.locked ||
      c->transport == NULL || !has_lock(L, uv))
    return state;
  if (!call_store(L, c, uv, LOCK, 0))
    return UQ_TOKEN_STORE_FAILED;
  if (!lua_toboolean(L, -2))
    return UQ_TOKEN_STORE_BUSY;
  c->store.locked = true;
  return get_token(L, c, uv); /* another process may have logged in */
}

/* Calls a function of the store whose failure does not fail the call: it is
** counted in hook_errors. */
static void call_store_counted(lua_State *L, struct uq_client *c, int uv,
                               const char *name, int n) {
  int top = lua_gettop(L) - n;
  if (!call_store(L, c, uv, name, n))
    c->stats.hook_errors++;
  lua_settop(L, top);
}

void uqL_token_store_end(lua_State *L, struct uq_client *c, int uv) {
  bool locked = c->store.locked;
  bool forked = c->transport != NULL && uq_transport_forked(c->transport);
  c->store.locked = false;
  if (locked && !forked) /* after a fork the lock is the parent's */
    call_store_counted(L, c, uv, UNLOCK, 0);
}

void uqL_token_store_put(lua_State *L, struct uq_client *c, int uv,
                         const char *token, size_t len) {
  size_t prefix = uq_token_prefix(token, len);
  lua_pushlstring(L, token + prefix, len - prefix);
  uqL_pushcount(L, floor(c->token.end));
  call_store_counted(L, c, uv, SET, 2);
}
