/*
** token.c - see token.h.
** SPDX-License-Identifier: MIT
*/
#include "binding/token.h"

#include <math.h>
#include <string.h>

#include "binding/auxlib.h"
#include "binding/client.h"
#include "binding/client_clock.h"
#include "binding/compat.h"
#include "binding/error.h"
#include "engine/base/ascii.h"
#include "engine/base/buf.h"
#include "engine/http/url.h"

#define MAX_TOKEN 8192   /* bytes; servers take no longer header lines */
#define MAX_MESSAGE 512  /* bytes of what the user's function says */
#define MARGIN 60        /* seconds before its end that a token is renewed */
#define SECONDS_MAX 1e11 /* beyond the year 5000: those are milliseconds */
#define LIFE_MAX 1e8     /* seconds, three years: longer ones are cut to this */
#define EARLIEST 1.0     /* the earliest end of a token; 0 means none */

static const char bearer[] = "Bearer ";

size_t uq_token_prefix(const char *text, size_t len) {
  size_t prefix = sizeof bearer - 1;
  bool has = len >= prefix && (text[0] == 'B' || text[0] == 'b') &&
             memcmp(text + 1, bearer + 1, prefix - 1) == 0;
  return has ? prefix : 0;
}

const char *uq_token_check(const char *text, size_t len) {
  size_t prefix = uq_token_prefix(text, len);
  text += prefix;
  len -= prefix;
  if (len == 0)
    return "a token expected, got an empty string";
  if (uq_begins(text, len, "bearer") && len == sizeof bearer - 2)
    return "a token after \"Bearer \" expected, got only that word";
  if (len > MAX_TOKEN)
    return "a token of at most 8192 bytes expected";
  if (!uq_is_visible(text, len))
    return "a token without blanks, line ends, control or non-ASCII bytes "
           "expected";
  return NULL;
}

const char *uq_token_take(struct uq_buf *token, const char *text, size_t len) {
  const char *wrong = uq_token_check(text, len);
  size_t prefix = uq_token_prefix(text, len);
  if (wrong != NULL)
    return wrong;
  if (uq_buf_append(token, bearer, sizeof bearer - 1) != UQ_BUF_OK ||
      uq_buf_append(token, text + prefix, len - prefix) != UQ_BUF_OK)
    return uq_no_memory;
  return NULL;
}

/* Seconds that a token is good for: until its end, unless that is not valid. */
static double life_of(double end, double now, double assumed) {
  if (end > SECONDS_MAX) /* milliseconds */
    end /= 1000;
  double life = end - now;
  if (!(end > 0) || (assumed > 0 && !(life > 0)))
    return assumed;
  return life < LIFE_MAX ? life : LIFE_MAX;
}

const char *uq_token_put(struct uq_client *c, const char *text, size_t len,
                         double end, double assumed) {
  struct uq_client_token *t = &c->token;
  struct uq_buf fresh; /* owned here: no call of Lua before it is released */
  uq_buf_init(&fresh, t->text.max);
  const char *wrong = uq_token_take(&fresh, text, len);
  if (wrong != NULL) {
    uq_buf_free(&fresh);
    return wrong;
  }
  if (t->text.len != fresh.len ||
      memcmp(t->text.data, fresh.data, fresh.len) != 0) {
    t->serial++;
    t->accepted = false;
  }
  uq_buf_free(&t->text);
  t->text = fresh;
  double now = uq_client_unix(c);
  t->life = life_of(end, now, assumed);
  t->end = t->life == 0 ? 0 : fmax(now + t->life, EARLIEST);
  t->until = uq_client_clock(c) + t->life;
  return NULL;
}

void uq_token_drop(struct uq_client_token *t) {
  if (t->text.len == 0)
    return;
  uq_buf_free(&t->refused);
  t->refused = t->text;
  uq_buf_init(&t->text, t->refused.max);
}

void uq_token_accepted(struct uq_client_token *t, unsigned serial) {
  if (t->serial != serial)
    return;
  t->accepted = true;
  t->refusals = 0;
}

/* True if the buffer holds this token. */
static bool holds(const struct uq_buf *token, const char *text, size_t len) {
  size_t prefix = uq_token_prefix(text, len), own = sizeof bearer - 1;
  return token->len > own && token->len - own == len - prefix &&
         memcmp(token->data + own, text + prefix, len - prefix) == 0;
}

bool uq_token_known(const struct uq_client_token *t, const char *text,
                    size_t len) {
  return holds(&t->text, text, len) || holds(&t->refused, text, len);
}

double uq_token_left(const struct uq_client *c) {
  const struct uq_client_token *t = &c->token;
  if (t->text.len == 0)
    return 0;
  return t->end == 0 ? HUGE_VAL : t->until - uq_client_clock(c);
}

const char *uq_token_need(const struct uq_client *c) {
  const struct uq_client_token *t = &c->token;
  if (!t->function)
    return NULL;
  if (t->text.len == 0 || t->end == 0)
    return "new";
  return uq_token_left(c) < MARGIN ? "expired" : NULL;
}

/* Pushes "<what><the user's text at idx, or its type>". */
static void push_reason(lua_State *L, const char *what, int idx) {
  size_t len = 0;
  const char *text = lua_tolstring(L, idx, &len);
  if (text == NULL) {
    text = luaL_typename(L, idx);
    len = strlen(text);
  }
  lua_pushstring(L, what);
  uqL_push_shown(L, text, len, MAX_MESSAGE);
  lua_concat(L, 2);
}

/* Calls the token function with the reason; pushes its two results, the token
** and its end. False: pushes why they are not of these types. */
static bool call_token_function(lua_State *L, int idx, struct uq_client *c,
                                const char *reason) {
  uqL_client_user_value(L, idx);
  lua_getfield(L, -1, "token");
  lua_pushstring(L, reason);
  c->token.asking = true;
  int status = lua_pcall(L, 1, 2, 0);
  c->token.asking = false;
  if (status == LUA_ERRMEM)
    lua_error(L);
  if (status != LUA_OK) {
    push_reason(L, "the token function raised: ", -1);
    return false;
  }
  int first = lua_gettop(L) - 1;
  bool has_token = lua_type(L, first) == LUA_TSTRING;
  bool has_end = !lua_isnil(L, first + 1);
  if (has_token && (!has_end || lua_type(L, first + 1) == LUA_TNUMBER))
    return true;
  if (has_token)
    lua_pushfstring(L,
                    "the token function returned %s as the token's expiry "
                    "(Unix seconds expected)",
                    luaL_typename(L, first + 1));
  else
    lua_pushfstring(L, "the token function returned no token but %s%s",
                    luaL_typename(L, first), has_end ? ": " : "");
  if (!has_token && has_end)
    push_reason(L, lua_tostring(L, -1), first + 1);
  return false;
}

bool uqL_token_ask(lua_State *L, int idx, struct uq_client *c,
                   const char *reason) {
  if (c->token.asking) {
    lua_pushliteral(L, "the token function must not use its own client");
    return false;
  }
  if (!call_token_function(L, idx, c, reason))
    return false;
  if (c->transport == NULL) {
    lua_pushliteral(L, "the token function closed the client");
    return false;
  }
  size_t len;
  const char *text = lua_tolstring(L, -2, &len);
  const char *wrong =
      uq_token_put(c, text, len, (double)lua_tonumber(L, -1), 0);
  if (wrong == uq_no_memory)
    luaL_error(L, "%s", wrong);
  if (wrong != NULL)
    lua_pushfstring(L, "the token function: %s", wrong);
  return wrong == NULL;
}
