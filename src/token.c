/*
** token.c - where the access token comes from: the option, or the user's
** function. The place for the login with client_id and api_key.
** SPDX-License-Identifier: MIT
*/
#include <string.h>

#include "ascii.h"
#include "clock.h"
#include "uqpay.h"

#define MAX_TOKEN 8192   /* bytes; servers take no longer header lines */
#define MAX_MESSAGE 512  /* bytes of what the user's function says */
#define MARGIN 60        /* seconds before its end that a token is renewed */
#define SECONDS_MAX 1e11 /* beyond the year 5000: those are milliseconds */

static const char bearer[] = "Bearer ";

const char *uq_token_take(struct uq_buf *token, const char *text, size_t len) {
  size_t prefix = sizeof bearer - 1;
  if (len >= prefix && (text[0] == 'B' || text[0] == 'b') &&
      memcmp(text + 1, bearer + 1, prefix - 1) == 0) {
    text += prefix;
    len -= prefix;
  }
  if (len == 0)
    return "a token expected, got an empty string";
  if (uq_begins(text, len, "bearer") && len == prefix - 1)
    return "a token behind \"Bearer \" expected, got the word alone";
  if (len > MAX_TOKEN)
    return "a token of at most 8192 bytes expected";
  for (size_t i = 0; i < len; i++) {
    if (text[i] <= ' ' || text[i] >= 0x7F)
      return "a token without blanks, line ends, control or non-ASCII bytes "
             "expected";
  }
  if (uq_buf_append(token, bearer, prefix) != UQ_BUF_OK ||
      uq_buf_append(token, text, len) != UQ_BUF_OK)
    return "not enough memory";
  return NULL;
}

const char *uq_token_need(const struct uq_client *c) {
  if (!c->token_function)
    return NULL;
  if (c->token.len == 0 || c->token_end == 0)
    return "new";
  return uq_clock_unix() >= c->token_end - MARGIN ? "expired" : NULL;
}

/* Pushes "<what><the user's text at idx, or its type>". */
static void push_reason(lua_State *L, const char *what, int idx) {
  static const struct uq_secrets none = {NULL, NULL}; /* they are the user's */
  size_t len = 0;
  const char *text = lua_tolstring(L, idx, &len);
  if (text == NULL) {
    text = luaL_typename(L, idx);
    len = strlen(text);
  }
  lua_pushstring(L, what);
  uqL_push_redacted(L, text, len, MAX_MESSAGE, &none, true);
  lua_concat(L, 2);
}

/* Puts the token at idx in the place of the client's. False: pushes why not. */
static bool replace_token(lua_State *L, struct uq_client *c, int idx) {
  struct uq_buf fresh; /* no call of Lua as long as it is ours alone */
  size_t len;
  const char *text = lua_tolstring(L, idx, &len);
  uq_buf_init(&fresh, c->token.max);
  const char *wrong = uq_token_take(&fresh, text, len);
  if (wrong != NULL) {
    uq_buf_free(&fresh);
    lua_pushfstring(L, "the token function: %s", wrong);
    return false;
  }
  if (c->token.len != fresh.len ||
      memcmp(c->token.data, fresh.data, fresh.len) != 0)
    c->token_serial++;
  uq_buf_free(&c->token);
  c->token = fresh;
  return true;
}

/* The end of a token at idx, in Unix seconds; 0 for nil, or none in sight. */
static double token_end(lua_State *L, int idx) {
  double end = (double)lua_tonumber(L, idx);
  if (!(end > 0))
    return 0;
  return end > SECONDS_MAX ? end / 1000 : end;
}

bool uqL_token_ask(lua_State *L, int owner, struct uq_client *c,
                   const char *reason) {
  if (c->token_running) {
    lua_pushliteral(L, "the token function must not use its own client");
    return false;
  }
  uqL_getpeer(L, owner);
  lua_getfield(L, -1, "token");
  lua_pushstring(L, reason);
  c->token_running = true;
  int status = lua_pcall(L, 1, 2, 0);
  c->token_running = false;
  int first = lua_gettop(L) - 1; /* token, end: when it has not raised */
  if (status != LUA_OK) {
    push_reason(L, "the token function raised: ", -1);
    return false;
  }
  if (lua_type(L, first) != LUA_TSTRING) {
    lua_pushfstring(L, "the token function gave no token but %s%s",
                    luaL_typename(L, first),
                    lua_isnil(L, first + 1) ? "" : ": ");
    if (lua_isnil(L, first + 1))
      return false;
    push_reason(L, lua_tostring(L, -1), first + 1);
    return false;
  }
  if (!lua_isnil(L, first + 1) && lua_type(L, first + 1) != LUA_TNUMBER) {
    lua_pushfstring(L,
                    "the token function gave %s as the token's end (Unix "
                    "seconds expected)",
                    luaL_typename(L, first + 1));
    return false;
  }
  if (c->transport == NULL) {
    lua_pushliteral(L, "the token function closed the client");
    return false;
  }
  if (!replace_token(L, c, first))
    return false;
  c->token_end = token_end(L, first + 1);
  return true;
}
