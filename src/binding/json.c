/*
** json.c - a private lua-cjson instance that never sees a number:
** json_numbers.c turns each into a marked string first, which our own code
** converts here. lua-cjson's conversion depends on the process locale,
** saturates integers, and accepts hexadecimals and NaN.
** SPDX-License-Identifier: MIT
*/
#include "binding/json.h"

#include <limits.h>
#include <string.h>

#include "binding/amount.h"
#include "binding/compat.h"
#include "binding/error.h"
#include "binding/options.h"
#include "engine/base/buf.h"
#include "engine/number/decimal.h"
#include "engine/number/json_numbers.h"
#include "engine/number/number.h"

/* Money needs a double: a Lua whose numbers are floats would round it. */
typedef char lua_number_is_a_double[sizeof(lua_Number) >= 8 ? 1 : -1];

/* fields of the registry */
#define DECODE "uqpay.cjson.decode"
#define VERSION "uqpay.cjson.version"

void uqL_json_open(lua_State *L) {
  lua_getglobal(L, "require");
  lua_pushliteral(L, "cjson");
  if (lua_pcall(L, 1, 1, 0) != LUA_OK)
    luaL_error(L, "uqpay needs lua-cjson: %s", lua_tostring(L, -1));
  lua_getfield(L, -1, "_VERSION");
  lua_setfield(L, LUA_REGISTRYINDEX, VERSION);
  lua_getfield(L, -1, "new"); /* not shared: others may change its settings */
  lua_call(L, 0, 1);
  lua_getfield(L, -1, "decode");
  lua_setfield(L, LUA_REGISTRYINDEX, DECODE);
  lua_pop(L, 2);
}

void uqL_json_version(lua_State *L) {
  lua_getfield(L, LUA_REGISTRYINDEX, VERSION);
}

/* Clears the scratch, for a text of len bytes: every second byte may be a
** number, which grows by three. */
static void prepare_scratch(struct uq_buf *scratch, size_t len) {
  uq_buf_clear(scratch);
  scratch->max = 3 * len + 3;
}

/* lua_pcall without the debug hook: an error of the hook (the interpreter's
** Ctrl-C, for example) would look like the called function's. */
static int call_unhooked(lua_State *L, int arguments, int results) {
  lua_Hook hook = lua_gethook(L);
  int mask = lua_gethookmask(L), count = lua_gethookcount(L);
  if (hook != NULL)
    lua_sethook(L, NULL, 0, 0);
  int status = lua_pcall(L, arguments, results, 0);
  if (hook != NULL && lua_gethook(L) == NULL) /* a signal may have set one */
    lua_sethook(L, hook, mask, count);
  return status;
}

bool uqL_json_decode(lua_State *L, const char *text, size_t len,
                     bool allow_trailing_comma, struct uq_buf *scratch,
                     size_t *members) {
  struct uq_json_numbers result;
  prepare_scratch(scratch, len);
  switch (uq_json_stringify_numbers(text, len, allow_trailing_comma, scratch,
                                    &result)) {
  case UQ_JSON_NUMBERS_OK:
    break;
  case UQ_JSON_NUMBERS_BAD:
    lua_pushfstring(L, "%s at byte %d", result.why, (int)result.at);
    return false;
  case UQ_JSON_NUMBERS_NOMEM:
    uqL_no_memory(L);
  }
  *members = result.members;
  lua_getfield(L, LUA_REGISTRYINDEX, DECODE);
  lua_pushlstring(L, scratch->data, scratch->len);
  int status = call_unhooked(L, 1, 1);
  if (status == LUA_ERRMEM)
    lua_error(L);
  return status == LUA_OK;
}

enum uq_json_type uqL_json_type(lua_State *L, int idx, const char **text,
                                size_t *len) {
  switch (lua_type(L, idx)) {
  case LUA_TSTRING:
    *text = lua_tolstring(L, idx, len);
    if ((*text)[0] != UQ_NUMBER_MARK)
      return UQ_JSON_STRING;
    ++*text;
    --*len;
    return UQ_JSON_NUMBER;
  case LUA_TTABLE:
    return UQ_JSON_TABLE;
  case LUA_TNIL:
  case LUA_TLIGHTUSERDATA: /* lua-cjson's null */
    return UQ_JSON_ABSENT;
  default:
    return UQ_JSON_OTHER;
  }
}

/* Pushes a whole number of 64 bits. False: the text is not one. */
static bool push_integer(lua_State *L, const char *text, size_t len) {
  bool negative = text[0] == '-';
  long long value = 0; /* negated: LLONG_MIN has no positive counterpart */
  for (size_t i = negative; i < len; i++) {
    int digit = text[i] - '0';
    if (digit < 0 || digit > 9 || value < (LLONG_MIN + digit) / 10)
      return false;
    value = value * 10 - digit;
  }
  if (!negative && value == LLONG_MIN)
    return false;
  return uqL_pushint64(L, negative ? value : -value) != 0;
}

bool uqL_json_double(lua_State *L, const char *text, size_t len,
                     double *value) {
  enum uq_number_status status = uq_number_double(text, len, value);
  if (status == UQ_NUMBER_NOMEM)
    uqL_no_memory(L);
  return status == UQ_NUMBER_OK;
}

bool uqL_json_push_number(lua_State *L, const char *text, size_t len,
                          int amounts, bool money) {
  struct uq_decimal exact;
  double value;
  if (amounts == UQ_AMOUNTS_STRING) {
    lua_pushlstring(L, text, len);
    return true;
  }
  if (amounts == UQ_AMOUNTS_EXACT) {
    if (uq_decimal_parse(text, len, &exact) != UQ_DECIMAL_OK)
      return false;
    uqL_amount_push(L, &exact);
    return true;
  }
  if (!money && push_integer(L, text, len))
    return true;
  if (!uqL_json_double(L, text, len, &value))
    return false;
  lua_pushnumber(L, value);
  return true;
}

long uqL_json_convert_numbers(lua_State *L, int amounts) {
  int table = lua_gettop(L);
  long members = 0;
  luaL_checkstack(L, 6, "deeply nested answer");
  lua_pushnil(L);
  while (lua_next(L, table) != 0) { /* key, value */
    const char *text;
    size_t len;
    enum uq_json_type type = uqL_json_type(L, -1, &text, &len);
    members += lua_type(L, -2) == LUA_TSTRING;
    if (type == UQ_JSON_TABLE) {
      long below = uqL_json_convert_numbers(L, amounts);
      if (below < 0)
        return -1;
      members += below;
    } else if (type == UQ_JSON_NUMBER || type == UQ_JSON_ABSENT) {
      lua_pushvalue(L, -2);
      if (type == UQ_JSON_ABSENT)
        lua_pushnil(L);
      else if (!uqL_json_push_number(L, text, len, amounts, false))
        return -1; /* the key is at the top */
      lua_rawset(L, table);
    }
    lua_pop(L, 1);
  }
  return members;
}
