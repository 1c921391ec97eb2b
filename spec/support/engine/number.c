/*
** number.c - drives src/engine/number.
** SPDX-License-Identifier: MIT
*/
#include "driver.h"

#include "engine/number/datetime.h"
#include "engine/number/decimal.h"
#include "engine/number/flat_json.h"
#include "engine/number/json_numbers.h"
#include "engine/number/number.h"
#include "engine/number/retry_after.h"

/* engine.stringify_numbers(text [, allow_trailing_comma [, max]]) -> text, *
** members; or nil, why, at */
static int stringify_numbers(lua_State *L) {
  struct uq_json_numbers result;
  bool allow_trailing_comma = lua_toboolean(L, 2) != 0;
  size_t len;
  lua_settop(L, 3);
  const char *text = engine_bytes(L, 1, &len);
  struct uq_buf *out =
      engine_buf(L, (size_t)luaL_optnumber(L, 3, (lua_Number)(3 * len + 3)));
  switch (uq_json_stringify_numbers(text, len, allow_trailing_comma, out,
                                    &result)) {
  case UQ_JSON_NUMBERS_OK:
    lua_pushlstring(L, out->data != NULL ? out->data : "", out->len);
    lua_pushinteger(L, (lua_Integer)result.members);
    return 2;
  case UQ_JSON_NUMBERS_BAD:
    lua_pushnil(L);
    lua_pushstring(L, result.why);
    lua_pushinteger(L, (lua_Integer)result.at);
    return 3;
  default:
    lua_pushnil(L);
    lua_pushliteral(L, "no memory");
    return 2;
  }
}

#define FLAT_MAX 16

/* engine.flat_json(text) -> a list of {name, text, is a string}; nil */
static int flat_json(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  struct uq_member members[FLAT_MAX];
  int n = uq_flat_json_parse(text, len, members, FLAT_MAX);
  if (n == 0)
    return 0;
  lua_createtable(L, n, 0);
  for (int i = 0; i < n; i++) {
    lua_createtable(L, 3, 0);
    lua_pushlstring(L, members[i].name, members[i].name_len);
    lua_rawseti(L, -2, 1);
    lua_pushlstring(L, members[i].text, members[i].len);
    lua_rawseti(L, -2, 2);
    lua_pushboolean(L, members[i].string);
    lua_rawseti(L, -2, 3);
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

/* The first argument, cut to as many bytes as the second says. */
static const char *number_text(lua_State *L, size_t *len) {
  lua_settop(L, 2);
  const char *text = engine_bytes(L, 1, len);
  size_t part = (size_t)luaL_optinteger(L, 2, (lua_Integer)*len);
  luaL_argcheck(L, part <= *len, 2, "beyond the text");
  *len = part;
  return text;
}

/* engine.number_scan(text [, len]) -> bytes */
static int number_scan(lua_State *L) {
  size_t len;
  const char *text = number_text(L, &len);
  lua_pushinteger(L, (lua_Integer)uq_number_scan(text, text + len));
  return 1;
}

/* engine.number_valid(text [, len]) */
static int number_valid(lua_State *L) {
  size_t len;
  const char *text = number_text(L, &len);
  lua_pushboolean(L, uq_number_valid(text, len));
  return 1;
}

/* engine.number_double(text [, len]) -> number; or nil and the status */
static int number_double(lua_State *L) {
  size_t len;
  double value;
  const char *text = number_text(L, &len);
  luaL_argcheck(L, uq_number_valid(text, len), 1, "a number expected");
  enum uq_number_status status = uq_number_double(text, len, &value);
  if (status == UQ_NUMBER_OK) {
    lua_pushnumber(L, value);
    return 1;
  }
  lua_pushnil(L);
  lua_pushstring(L, status == UQ_NUMBER_RANGE ? "range" : "no memory");
  return 2;
}

/* engine.decimal(text) -> all its digits; or nil and the status */
static int decimal(lua_State *L) {
  static const char *const names[] = {"ok", "bad", "range"};
  struct uq_decimal d;
  char out[UQ_DECIMAL_TEXT];
  size_t len;
  const char *text = engine_bytes(L, 1, &len);
  enum uq_decimal_status status = uq_decimal_parse(text, len, &d);
  if (status != UQ_DECIMAL_OK) {
    lua_pushnil(L);
    lua_pushstring(L, names[status]);
    return 2;
  }
  uq_decimal_text(&d, out);
  lua_pushstring(L, out);
  return 1;
}

/* engine.datetime(text) -> seconds, nanoseconds; or nil and the status */
static int datetime(lua_State *L) {
  static const char *const names[] = {"ok", "none", "zone", "bad"};
  struct uq_datetime m;
  size_t len;
  const char *text = engine_bytes(L, 1, &len);
  enum uq_datetime_status status = uq_datetime_parse(text, len, NULL, &m);
  if (status != UQ_DATETIME_OK) {
    lua_pushnil(L);
    lua_pushstring(L, names[status]);
    return 2;
  }
  lua_pushnumber(L, (lua_Number)m.seconds);
  lua_pushnumber(L, (lua_Number)m.nanoseconds);
  return 2;
}

/* engine.retry_after(value, now) -> seconds */
static int retry_after(lua_State *L) {
  double now = luaL_checknumber(L, 2);
  lua_pushnumber(L, uq_retry_after(engine_text(L, 1), now));
  return 1;
}

static const luaL_Reg functions[] = {{"stringify_numbers", stringify_numbers},
                                     {"flat_json", flat_json},
                                     {"number_scan", number_scan},
                                     {"number_valid", number_valid},
                                     {"number_double", number_double},
                                     {"decimal", decimal},
                                     {"datetime", datetime},
                                     {"retry_after", retry_after},
                                     {NULL, NULL}};

void engine_open_number(lua_State *L) { uqL_setfuncs(L, functions); }
