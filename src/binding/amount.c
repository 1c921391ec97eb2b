/*
** amount.c - the class of exact amounts. A text that is not a decimal number
** gives nil and a message; a value of the wrong type, and arithmetic that
** cannot be exact, raise.
** SPDX-License-Identifier: MIT
*/
#include "binding/amount.h"

#include <math.h>
#include <string.h>

#include "binding/auxlib.h"
#include "binding/compat.h"
#include "binding/error.h"
#include "engine/base/ascii.h"
#include "engine/number/currency.h"
#include "engine/number/decimal.h"
#include "engine/number/number.h"

#define MAX_SHOWN 40     /* bytes of a text in a message */
#define MAX_EXACT 0x1p53 /* from here on a double may have been rounded */

/* ------------------------------------------------------------------------ */
/* amounts in and out                                                        */
/* ------------------------------------------------------------------------ */

void uqL_amount_push(lua_State *L, const struct uq_decimal *value) {
  struct uq_decimal *d = lua_newuserdata(L, sizeof *d);
  *d = *value;
  luaL_getmetatable(L, UQ_AMOUNT);
  lua_setmetatable(L, -2);
}

/* The amount at idx, a positive index; NULL: the value is not an amount. */
static const struct uq_decimal *to_amount(lua_State *L, int idx) {
  if (lua_type(L, idx) != LUA_TUSERDATA || !lua_getmetatable(L, idx))
    return NULL;
  luaL_getmetatable(L, UQ_AMOUNT);
  bool is = lua_rawequal(L, -1, -2) != 0;
  lua_pop(L, 2);
  return is ? lua_touserdata(L, idx) : NULL;
}

static const struct uq_decimal *check_amount(lua_State *L) {
  return luaL_checkudata(L, 1, UQ_AMOUNT);
}

/* Reads the number at idx. False: it is not whole, or may have been rounded. */
static bool read_number(lua_State *L, int idx, struct uq_decimal *d) {
#if LUA_VERSION_NUM >= 503
  if (lua_isinteger(L, idx)) {
    uq_decimal_integer((long long)lua_tointeger(L, idx), d);
    return true;
  }
#endif
  double value = (double)lua_tonumber(L, idx);
  if (!(fabs(value) < MAX_EXACT) || floor(value) != value)
    return false;
  uq_decimal_integer((long long)value, d);
  return true;
}

enum reading {
  READ,
  BAD_TEXT, /* may come from outside the program */
  BAD_VALUE /* a mistake in the program */
};

/* Reads the value at idx: an amount, a whole number or a decimal string. Pushes
** what is wrong with it unless it is READ. */
static enum reading read_amount(lua_State *L, int idx, struct uq_decimal *d) {
  const struct uq_decimal *amount = to_amount(L, idx);
  int type = lua_type(L, idx);
  if (amount != NULL) {
    *d = *amount;
    return READ;
  }
  if (type == LUA_TNUMBER) {
    if (read_number(L, idx, d))
      return READ;
    lua_pushliteral(L, "a float has lost its decimal digits: give the string, "
                       "or a whole number below 2^53");
    return BAD_VALUE;
  }
  if (type != LUA_TSTRING) {
    lua_pushfstring(L,
                    "amount, decimal string or whole number expected, got %s",
                    luaL_typename(L, idx));
    return BAD_VALUE;
  }
  size_t len;
  const char *text = lua_tolstring(L, idx, &len);
  switch (uq_decimal_parse(text, len, d)) {
  case UQ_DECIMAL_OK:
    return READ;
  case UQ_DECIMAL_RANGE:
    lua_pushfstring(L, "'%s' has more than %d digits",
                    uqL_push_shown(L, text, len, MAX_SHOWN), UQ_DECIMAL_DIGITS);
    return BAD_TEXT;
  default:
    if (len == 0)
      lua_pushliteral(L, "an empty string is no decimal number");
    else
      lua_pushfstring(L, "'%s' is no decimal number",
                      uqL_push_shown(L, text, len, MAX_SHOWN));
    return BAD_TEXT;
  }
}

/* The operand at arg. Raises if it is not one. */
static struct uq_decimal check_operand(lua_State *L, int arg) {
  struct uq_decimal d;
  if (read_amount(L, arg, &d) != READ)
    luaL_argerror(L, arg, lua_tostring(L, -1));
  return d;
}

/* uqpay.amount(x) */
int uqL_amount_new(lua_State *L) {
  struct uq_decimal d;
  uqL_check_dot(L, "amount", "(...)");
  lua_settop(L, 1);
  if (to_amount(L, 1) != NULL) /* amounts are immutable */
    return 1;
  switch (read_amount(L, 1, &d)) {
  case READ:
    uqL_amount_push(L, &d);
    return 1;
  case BAD_TEXT:
    return uqL_push_nil_message(L);
  default:
    return luaL_argerror(L, 1, lua_tostring(L, -1));
  }
}

/* ------------------------------------------------------------------------ */
/* arithmetic                                                                */
/* ------------------------------------------------------------------------ */

static void add_to(lua_State *L, struct uq_decimal *sum,
                   const struct uq_decimal *d) {
  if (uq_decimal_add(sum, d, sum) != UQ_DECIMAL_OK)
    luaL_error(L, "amount out of range (the sum has more than %d digits)",
               UQ_DECIMAL_DIGITS);
}

static int amount_add(lua_State *L) {
  struct uq_decimal a = check_operand(L, 1), b = check_operand(L, 2);
  add_to(L, &a, &b);
  uqL_amount_push(L, &a);
  return 1;
}

static int amount_sub(lua_State *L) {
  struct uq_decimal a = check_operand(L, 1), b = check_operand(L, 2);
  uq_decimal_negate(&b);
  add_to(L, &a, &b);
  uqL_amount_push(L, &a);
  return 1;
}

static int amount_neg(lua_State *L) {
  struct uq_decimal d = *check_amount(L);
  uq_decimal_negate(&d);
  uqL_amount_push(L, &d);
  return 1;
}

static int compare(lua_State *L) {
  struct uq_decimal a = check_operand(L, 1), b = check_operand(L, 2);
  return uq_decimal_compare(&a, &b);
}

static int amount_cmp(lua_State *L) {
  lua_pushinteger(L, compare(L));
  return 1;
}

static int amount_lt(lua_State *L) {
  lua_pushboolean(L, compare(L) < 0);
  return 1;
}

static int amount_le(lua_State *L) {
  lua_pushboolean(L, compare(L) <= 0);
  return 1;
}

/* Lua also calls this for an amount and a userdata of another class. */
static int amount_eq(lua_State *L) {
  const struct uq_decimal *a = to_amount(L, 1), *b = to_amount(L, 2);
  lua_pushboolean(L, a != NULL && b != NULL && uq_decimal_compare(a, b) == 0);
  return 1;
}

static int amount_sign(lua_State *L) {
  static const struct uq_decimal zero;
  lua_pushinteger(L, uq_decimal_compare(check_amount(L), &zero));
  return 1;
}

/* Adds the element at the top to a sum, and pops it. */
static void add_element(lua_State *L, struct uq_decimal *sum, int n) {
  struct uq_decimal d;
  if (read_amount(L, lua_gettop(L), &d) != READ)
    luaL_error(L, "bad element %d to 'sum' (%s)", n, lua_tostring(L, -1));
  add_to(L, sum, &d);
  lua_pop(L, 1);
}

/* Adds up the list at 1. */
static void sum_list(lua_State *L, struct uq_decimal *sum) {
  uqL_argument_table(L, 1, 1, "sum");
  int count = uqL_check_list(L, 1, "sum", "list");
  for (int n = 1; n <= count; n++) {
    lua_rawgeti(L, 1, n);
    add_element(L, sum, n);
  }
}

/* Adds up what the function at 1 returns. False: it has failed; pushes nil, a
** message and an error. */
static bool sum_function(lua_State *L, struct uq_decimal *sum) {
  for (int n = 1;; n++) {
    lua_pushvalue(L, 1);
    lua_call(L, 0, 3);
    if (!lua_toboolean(L, 2) && !lua_isnil(L, 3)) {
      lua_pushnil(L);
      lua_replace(L, 2); /* it may be false */
      return false;
    }
    if (lua_isnil(L, 2))
      return true;
    lua_settop(L, 2);
    add_element(L, sum, n);
  }
}

/* uqpay.sum(list or function). A missing amount is not zero: holes, other keys
** and inherited elements are errors, and a failure of the function is the
** sum's. */
int uqL_amount_sum(lua_State *L) {
  struct uq_decimal sum = {false, 0, {0}};
  uqL_check_dot(L, "sum", "(...)");
  lua_settop(L, 1);
  if (!lua_isfunction(L, 1))
    sum_list(L, &sum);
  else if (!sum_function(L, &sum))
    return 3;
  uqL_amount_push(L, &sum);
  return 1;
}

/* ------------------------------------------------------------------------ */
/* text, minor units, numbers                                                */
/* ------------------------------------------------------------------------ */

static const char *push_text(lua_State *L, const struct uq_decimal *d) {
  char text[UQ_DECIMAL_TEXT];
  uq_decimal_text(d, text);
  lua_pushstring(L, text);
  return lua_tostring(L, -1);
}

static int amount_tostring(lua_State *L) {
  push_text(L, check_amount(L));
  return 1;
}

static int amount_concat(lua_State *L) {
  lua_settop(L, 2);
  for (int i = 1; i <= 2; i++) {
    const struct uq_decimal *d = to_amount(L, i);
    if (d != NULL) {
      push_text(L, d);
      lua_replace(L, i);
    }
  }
  lua_concat(L, 2);
  return 1;
}

static int amount_tonumber(lua_State *L) {
  char text[UQ_DECIMAL_TEXT];
  double value = 0;
  uq_decimal_text(check_amount(L), text);
  if (uq_number_double(text, strlen(text), &value) != UQ_NUMBER_OK)
    return uqL_no_memory(L); /* no amount is out of range */
  lua_pushnumber(L, (lua_Number)value);
  return 1;
}

/* The number of decimals by the second argument: that number, or a currency.
** -1: pushes why it is not known. Raises if it is neither. */
static int check_places(lua_State *L) {
  size_t len;
  if (lua_type(L, 2) == LUA_TNUMBER) {
    double places = (double)lua_tonumber(L, 2);
    luaL_argcheck(L,
                  places >= 0 && places <= UQ_DECIMAL_DIGITS &&
                      floor(places) == places,
                  2,
                  "a whole number of decimals from 0 to " UQ_DIGITS_OF(
                      UQ_DECIMAL_DIGITS) " expected");
    return (int)places;
  }
  if (lua_type(L, 2) != LUA_TSTRING) {
    lua_pushfstring(L, "currency or number of decimals expected, got %s",
                    luaL_typename(L, 2));
    luaL_argerror(L, 2, lua_tostring(L, -1));
  }
  const char *code = lua_tolstring(L, 2, &len);
  int places = uq_currency_exponent(code, len);
  if (len == 0)
    lua_pushliteral(L, "ISO 4217 has no decimals for an empty string");
  else if (places < 0)
    lua_pushfstring(L,
                    "ISO 4217 has no decimals for '%s': give their number "
                    "instead of the currency",
                    uqL_push_shown(L, code, len, MAX_SHOWN));
  return places;
}

/* nil and a message: the amount cannot have that number of decimals. */
static int fail_places(lua_State *L, const struct uq_decimal *d, int places,
                       enum uq_decimal_status status, const char *too_large) {
  const char *text = push_text(L, d);
  if (status == UQ_DECIMAL_INEXACT)
    lua_pushfstring(L, "%s has more than %d decimals", text, places);
  else
    lua_pushfstring(L, "%s with %d decimals %s", text, places, too_large);
  return uqL_push_nil_message(L);
}

/* amount:minor(currency or decimals) */
static int amount_minor(lua_State *L) {
  const struct uq_decimal *d = check_amount(L);
  long long units;
  int places = check_places(L);
  if (places < 0)
    return uqL_push_nil_message(L);
  enum uq_decimal_status status = uq_decimal_minor(d, places, &units);
  if (status == UQ_DECIMAL_OK && uqL_pushint64(L, units))
    return 1;
  return fail_places(L, d, places, status, "is beyond this Lua's integers");
}

/* amount:format([currency or decimals [, separator]]) */
static int amount_format(lua_State *L) {
  struct uq_decimal d = *check_amount(L);
  char text[UQ_DECIMAL_TEXT];
  lua_settop(L, 3);
  if (lua_isnil(L, 3)) {
    lua_pushliteral(L, "");
    lua_replace(L, 3);
  }
  luaL_checktype(L, 3, LUA_TSTRING);
  if (!lua_isnil(L, 2)) {
    int places = check_places(L);
    if (places < 0)
      return uqL_push_nil_message(L);
    enum uq_decimal_status status = uq_decimal_rescale(&d, places, &d);
    if (status != UQ_DECIMAL_OK)
      return fail_places(
          L, &d, places, status,
          "has more than " UQ_DIGITS_OF(UQ_DECIMAL_DIGITS) " digits");
  }
  uq_decimal_text(&d, text);
  size_t whole = strcspn(text, "."), first = text[0] == '-';
  size_t end = whole - (whole - first - 1) / 3 * 3; /* of the first group */
  lua_pushlstring(L, text, end);
  for (; end < whole; end += 3) {
    lua_pushvalue(L, 3);
    lua_pushlstring(L, text + end, 3);
    lua_concat(L, 3);
  }
  lua_pushstring(L, text + whole);
  lua_concat(L, 2);
  return 1;
}

static const luaL_Reg metamethods[] = {{"__add", amount_add},
                                       {"__sub", amount_sub},
                                       {"__unm", amount_neg},
                                       {"__eq", amount_eq},
                                       {"__lt", amount_lt},
                                       {"__le", amount_le},
                                       {"__tostring", amount_tostring},
                                       {"__concat", amount_concat},
                                       {NULL, NULL}};

static const luaL_Reg methods[] = {{"add", amount_add},
                                   {"sub", amount_sub},
                                   {"neg", amount_neg},
                                   {"cmp", amount_cmp},
                                   {"sign", amount_sign},
                                   {"minor", amount_minor},
                                   {"format", amount_format},
                                   {"tonumber", amount_tonumber},
                                   {NULL, NULL}};

void uqL_amount_open(lua_State *L) {
  uqL_class(L, UQ_AMOUNT, metamethods, methods);
}
