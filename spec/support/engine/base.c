/*
** base.c - drives src/engine/base: buffers, UUIDs, redaction.
** SPDX-License-Identifier: MIT
*/
#include "driver.h"

#include "engine/base/buf.h"
#include "engine/base/redact.h"
#include "engine/base/uuid.h"

#define ENGINE_BUF "engine.buf" /* metatable */

/* ---- buf ---------------------------------------------------------------- */

struct uq_buf *engine_buf(lua_State *L, size_t max) {
  struct uq_buf *b = engine_object(L, sizeof *b, ENGINE_BUF);
  uq_buf_init(b, max);
  return b;
}

/* engine.buf(max) */
static int buf_new(lua_State *L) {
  engine_buf(L, (size_t)luaL_checknumber(L, 1));
  return 1;
}

static struct uq_buf *to_buf(lua_State *L) {
  return luaL_checkudata(L, 1, ENGINE_BUF);
}

/* buf:append(text) -> "ok", "full" or "no memory" */
static int buf_append(lua_State *L) {
  static const char *const names[] = {"ok", "full", "no memory"};
  struct uq_buf *b = to_buf(L);
  size_t len;
  const char *text = engine_bytes(L, 2, &len);
  lua_pushstring(L, names[uq_buf_append(b, text, len)]);
  return 1;
}

/* buf:size() -> len, cap */
static int buf_size(lua_State *L) {
  struct uq_buf *b = to_buf(L);
  lua_pushinteger(L, (lua_Integer)b->len);
  lua_pushinteger(L, (lua_Integer)b->cap);
  return 2;
}

/* buf:raw(n) -> the first n bytes of its memory; nil: it has none */
static int buf_raw(lua_State *L) {
  struct uq_buf *b = to_buf(L);
  size_t n = (size_t)luaL_checkinteger(L, 2);
  luaL_argcheck(L, n <= b->cap, 2, "beyond the memory of the buffer");
  if (b->data == NULL)
    lua_pushnil(L);
  else
    lua_pushlstring(L, b->data, n);
  return 1;
}

static int buf_clear(lua_State *L) {
  uq_buf_clear(to_buf(L));
  return 0;
}

static int buf_free(lua_State *L) {
  uq_buf_free(to_buf(L));
  return 0;
}

static const luaL_Reg buf_methods[] = {
    {"append", buf_append}, {"size", buf_size}, {"raw", buf_raw},
    {"clear", buf_clear},   {"free", buf_free}, {NULL, NULL}};

/* ---- uuid --------------------------------------------------------------- */

static int uuid(lua_State *L) {
  char text[UQ_UUID_LEN + 1];
  if (!uq_uuid_v4(text))
    return luaL_error(L, "no randomness");
  lua_pushstring(L, text);
  return 1;
}

static int uuid_valid(lua_State *L) {
  size_t len;
  const char *text = engine_bytes(L, 1, &len);
  lua_pushboolean(L, uq_uuid_valid(text, len));
  return 1;
}

/* ---- redact ------------------------------------------------------------- */

/* engine.redact(text, sent, earlier, line [, size]) -> text */
static int redact(lua_State *L) {
  struct uq_secrets secrets;
  size_t size = (size_t)luaL_optinteger(L, 5, 2048), len;
  lua_settop(L, 4);
  secrets.sent = lua_isnil(L, 2) ? NULL : engine_text(L, 2);
  secrets.earlier = lua_isnil(L, 3) ? NULL : engine_text(L, 3);
  const char *text = engine_bytes(L, 1, &len);
  char *out = lua_newuserdata(L, size);
  size_t written =
      uq_redact(text, len, &secrets, lua_toboolean(L, 4) != 0, out, size);
  if (written == UQ_REDACT_NOMEM)
    return luaL_error(L, "not enough memory");
  lua_pushlstring(L, out, written);
  return 1;
}

static const luaL_Reg functions[] = {{"buf", buf_new},
                                     {"uuid", uuid},
                                     {"uuid_valid", uuid_valid},
                                     {"redact", redact},
                                     {NULL, NULL}};

void engine_open_base(lua_State *L) {
  engine_class(L, ENGINE_BUF, buf_free, buf_methods);
  uqL_setfuncs(L, functions);
}
