/*
** answer.c - the decoder of responses (src/binding/response.c), with
** lua-cjson. The first bytes: the status, the endpoint and the option amounts;
** the rest is the body. ERRORS: statuses of failure only.
**
** A result has every required field, of its type, and amounts with the digits
** that were sent; an error is a table with a kind, a message without control
** bytes, and no secret anywhere.
** SPDX-License-Identifier: MIT
*/
#include "state.h"

#include <math.h>

#include "binding/error.h"
#include "binding/options.h"
#include "binding/response.h"
#include "engine/api/endpoint.h"
#include "engine/base/buf.h"
#include "engine/http/transfer.h"
#include "engine/number/number.h"
#include "engine/policy/retry.h"

#define SECRET "Bearer 0123456789abcdefghijklmnopqrstuvwxyz"

static const struct uq_endpoint *endpoint;
static int amounts;

/* What is decoded, and how. */
struct trial {
  const char *body;
  size_t len;
  int status, amounts;
  bool good;
};

static int decode(lua_State *L) {
  struct trial *t = lua_touserdata(L, 1);
  static struct uq_buf scratch;
  struct uq_response_context context = {
      endpoint,   "?page_size=10&page_number=1",
      "USD",      NULL,
      t->amounts, {SECRET, NULL},
      0,          &scratch,
      NULL};
  struct uq_response response;
  struct uq_failure f;
  memset(&response, 0, sizeof response);
  response.kind = UQ_OK;
  response.status = t->status;
  snprintf(response.received.request_id, sizeof response.received.request_id,
           "r-1");
  uq_buf_init(&response.body, t->len + 1);
  CHECK(uq_buf_append(&response.body, t->body, t->len) == UQ_BUF_OK);
  int top = lua_gettop(L);
  t->good = uqL_response_decode(L, &context, &response, &f);
  CHECK(lua_gettop(L) == top + 1 && lua_istable(L, -1));
  uq_buf_free(&response.body);
  uq_buf_free(&scratch);
  return 1;
}

/* Pushes the result or the error table. True: the result. */
static bool run(lua_State *L, struct trial *t) {
  lua_pushcfunction(L, decode);
  lua_pushlightuserdata(L, t);
  if (lua_pcall(L, 1, 1, 0) != 0) {
    fprintf(stderr, "raised: %s\n", lua_tostring(L, -1));
    abort();
  }
  return t->good;
}

static bool has_control(const char *text, size_t len) {
  for (size_t i = 0; i < len; i++) {
    if ((unsigned char)text[i] < 32 || text[i] == 127)
      return true;
  }
  return false;
}

/* The error table is at the top. */
static void check_error(lua_State *L) {
  size_t len;
  lua_getfield(L, -1, "message");
  const char *message = lua_tolstring(L, -1, &len);
  CHECK(message != NULL && len > 0 && !has_control(message, len));
  lua_getfield(L, -2, "kind");
  CHECK(lua_isstring(L, -1));
  lua_getfield(L, -3, "retryable");
  CHECK(lua_isboolean(L, -1));
  lua_pop(L, 3);
  for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1)) {
    if (lua_type(L, -1) != LUA_TSTRING)
      continue;
    const char *text = lua_tolstring(L, -1, &len);
    CHECK(memmem(text, len, &SECRET[7], 20) == NULL);
    CHECK(len <= UQ_SHOWN_MAX);
  }
}

static void check_field(lua_State *L, const struct uq_field *f,
                        const struct trial *t) {
  size_t len = 0;
  lua_getfield(L, -1, f->name);
  int type = lua_type(L, -1);
  const char *text = type == LUA_TSTRING ? lua_tolstring(L, -1, &len) : NULL;
  CHECK(type != LUA_TNIL || f->optional);
  if (type == LUA_TNIL) {
    lua_pop(L, 1);
    return;
  }
  switch (f->type) {
  case UQ_FIELD_AMOUNT:
    CHECK(type == (t->amounts == UQ_AMOUNTS_STRING   ? LUA_TSTRING
                   : t->amounts == UQ_AMOUNTS_NUMBER ? LUA_TNUMBER
                                                     : LUA_TUSERDATA));
    if (type == LUA_TSTRING)
      CHECK(uq_number_valid(text, len) &&
            memmem(t->body, t->len, text, len) != NULL);
    if (type == LUA_TNUMBER)
      CHECK(isfinite(lua_tonumber(L, -1)));
    break;
  case UQ_FIELD_COUNT:
    CHECK(type == LUA_TNUMBER && lua_tonumber(L, -1) >= 0 &&
          floor(lua_tonumber(L, -1)) == lua_tonumber(L, -1));
    break;
  case UQ_FIELD_NAMES:
  case UQ_FIELD_ITEMS:
    CHECK(type == LUA_TTABLE);
    break;
  case UQ_FIELD_ANY:
    break;
  case UQ_FIELD_CURRENCY:
    CHECK(type == LUA_TSTRING && strcmp(text, "USD") == 0 && len == 3);
    break;
  case UQ_FIELD_TEXT:
    CHECK(type == LUA_TSTRING);
    break;
  default:
    CHECK(type == LUA_TSTRING && !has_control(text, len));
    CHECK(f->type == UQ_FIELD_PLAIN || len > 0);
  }
  lua_pop(L, 1);
}

static void check_result(lua_State *L, const struct uq_field *schema,
                         const struct trial *t) {
  for (const struct uq_field *f = schema; f->name != NULL; f++) {
    check_field(L, f, t);
    if (f->type != UQ_FIELD_ITEMS)
      continue;
    lua_getfield(L, -1, f->name);
    for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1))
      check_result(L, endpoint->items, t);
    lua_pop(L, 1);
  }
}

/* The two results at the top have the same fields. */
static void check_alike(lua_State *L) {
  for (const struct uq_field *f = endpoint->schema; f->name != NULL; f++) {
    lua_getfield(L, -2, f->name);
    lua_getfield(L, -2, f->name);
    CHECK(lua_type(L, -1) == LUA_TUSERDATA || lua_type(L, -1) == LUA_TTABLE ||
          lua_rawequal(L, -1, -2));
    lua_pop(L, 2);
  }
}

/* Adds a member that only the JSON library reads, and compares the result of
** the fast decoder, at the top, with that. */
static void check_slow_decoder(lua_State *L, const struct trial *t) {
  const char *brace = memchr(t->body, '{', t->len);
  static const char more[] = "\"\\u007a\":{},";
  struct trial longer = *t;
  size_t at = (size_t)(brace - t->body) + 1, n = sizeof more - 1;
  char *body = malloc(t->len + n);
  CHECK(body != NULL);
  memcpy(body, t->body, at);
  memcpy(body + at, more, n);
  memcpy(body + at + n, t->body + at, t->len - at);
  longer.body = body;
  longer.len = t->len + n;
  if (run(L, &longer))
    check_alike(L);
  else /* it has a "z" already */
    CHECK(memchr(t->body, 'z', t->len) != NULL ||
          memchr(t->body, '\\', t->len) != NULL);
  lua_pop(L, 1);
  free(body);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
#ifdef ERRORS
  static const int statuses[] = {400, 401, 403, 404, 408, 409, 429,
                                 500, 503, 302, 204, 418, 600, 101};
#else
  static const int statuses[] = {200, 201};
#endif
  lua_State *L = fuzz_state();
  if (len < 2)
    return 0;
  endpoint = &uq_endpoints[bytes[1] % UQ_ENDPOINT_COUNT];
  amounts = bytes[1] / 8 % 3;
  char *body = fuzz_copy(bytes + 2, len - 2, false);
  struct trial t = {body, len - 2,
                    statuses[bytes[0] % (sizeof statuses / sizeof *statuses)],
                    amounts, false};
  if (run(L, &t)) {
    check_result(L, endpoint->schema, &t);
    check_slow_decoder(L, &t);
    struct trial text = t;
    text.amounts = UQ_AMOUNTS_STRING; /* has no range */
    CHECK(run(L, &text));
  } else {
    check_error(L);
  }
  lua_settop(L, 0);
  free(body);
  return 0;
}
