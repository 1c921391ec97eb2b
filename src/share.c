/*
** share.c - the user's token store: several processes share one token, since on
** some business lines a new token ends the one before. It is looked at before a
** login, locked during one, and fed after it.
** SPDX-License-Identifier: MIT
*/
#include <string.h>

#include "call.h"
#include "clock.h"

#define SPARE 60.0 /* seconds that a stored token must outlast one to renew */
#define LEAST 15.0 /* seconds that it must be good for */
#define MAX_MESSAGE 256

/* Calls a function of the store with the n arguments at the top, the key in
** front of them; pushes two results. False: pushes why not. peer is the index
** of the client's peer table. */
static bool ask(lua_State *L, int peer, const char *name, int n) {
  int base = lua_gettop(L) - n;
  lua_getfield(L, peer, "token_store");
  lua_getfield(L, -1, name);
  lua_replace(L, -2);
  lua_insert(L, base + 1);
  lua_getfield(L, peer, "token_store_key");
  lua_insert(L, base + 2);
  bool good = lua_pcall(L, n + 1, 2, 0) == LUA_OK;
  if (good && (!lua_isnil(L, -2) || lua_isnil(L, -1)))
    return true;
  static const struct uq_secrets none = {NULL, NULL};
  size_t len = 0;
  const char *text = lua_tolstring(L, -1, &len);
  lua_pushfstring(L, "token_store.%s: ", name);
  uqL_push_redacted(L, text != NULL ? text : "no reason given",
                    text != NULL ? len : 15, MAX_MESSAGE, &none, true);
  lua_concat(L, 2);
  return false;
}

static bool has(lua_State *L, int peer, const char *name) {
  lua_getfield(L, peer, "token_store");
  lua_getfield(L, -1, name);
  bool found = !lua_isnil(L, -1);
  lua_pop(L, 2);
  return found;
}

/* Is this the token that the API refused? */
static bool was_refused(const struct uq_client *c, const char *text,
                        size_t len) {
  size_t prefix = c->refused.len > len ? c->refused.len - len : 0;
  return prefix > 0 && memcmp(c->refused.data + prefix, text, len) == 0;
}

/* Is the token at -2, with its end at -1, one that saves a login? */
static bool is_good(lua_State *L, const struct uq_client *c) {
  size_t len;
  if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TNUMBER)
    return false;
  const char *text = lua_tolstring(L, -2, &len);
  double left = (double)lua_tonumber(L, -1) - uq_clock_unix();
  return left > LEAST && left > uq_token_left(c) + SPARE &&
         uq_token_check(text, len) == NULL && !was_refused(c, text, len);
}

/* Looks for a token in the store. FOUND: pushes it and its end. */
static enum uq_share_state look(lua_State *L, struct uq_client *c, int peer) {
  if (!ask(L, peer, "get", 0))
    return UQ_SHARE_FAILED;
  return is_good(L, c) ? UQ_SHARE_FOUND : UQ_SHARE_LOGIN;
}

enum uq_share_state uqL_share_begin(lua_State *L, struct uq_client *c,
                                    int peer) {
  enum uq_share_state state = look(L, c, peer);
  if (state != UQ_SHARE_LOGIN || c->share_locked || !has(L, peer, "lock"))
    return state;
  if (!ask(L, peer, "lock", 0))
    return UQ_SHARE_FAILED;
  if (!lua_toboolean(L, -2))
    return UQ_SHARE_BUSY;
  c->share_locked = true;
  return look(L, c, peer); /* somebody may have logged in just before */
}

void uqL_share_end(lua_State *L, struct uq_client *c, int peer) {
  int top = lua_gettop(L);
  if (c->share_locked && has(L, peer, "unlock"))
    ask(L, peer, "unlock", 0);
  c->share_locked = false;
  lua_settop(L, top);
}

void uqL_share_put(lua_State *L, struct uq_client *c, int peer,
                   const char *token, size_t len) {
  int top = lua_gettop(L);
  lua_pushlstring(L, token, len);
  lua_pushnumber(L, c->token_end);
  ask(L, peer, "set", 2); /* a store that fails costs a login, no call */
  lua_settop(L, top);
}
