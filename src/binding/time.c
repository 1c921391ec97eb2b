/*
** time.c - see time.h. A text that is not a time gives nil and a message; a
** value of the wrong type raises.
** SPDX-License-Identifier: MIT
*/
#include "binding/time.h"

#include <stdbool.h>
#include <stdint.h>

#include "binding/auxlib.h"
#include "binding/compat.h"
#include "binding/error.h"
#include "engine/number/datetime.h"
#include "engine/number/number.h"

#define MAX_SHOWN 40 /* bytes of a text in a message */

/* The double nearest to the digits. A division would round twice in registers
** that are wider than a double (i386). */
static void push_fraction(lua_State *L, int32_t nanoseconds) {
  char text[] = "0.000000000";
  double value = 0;
  for (char *p = text + sizeof text - 2; nanoseconds > 0; p--) {
    *p = (char)('0' + nanoseconds % 10);
    nanoseconds /= 10;
  }
  if (uq_number_double(text, sizeof text - 1, &value) != UQ_NUMBER_OK)
    uqL_no_memory(L); /* the only failure here */
  lua_pushnumber(L, (lua_Number)value);
}

/* The offset of the zone that is the second argument, in seconds. */
static int check_zone(lua_State *L) {
  size_t len;
  int offset;
  luaL_checktype(L, 2, LUA_TSTRING);
  const char *zone = lua_tolstring(L, 2, &len);
  luaL_argcheck(L, uq_zone_parse(zone, len, &offset), 2,
                len > 0 ? "\"Z\" or an offset such as \"+08:00\" expected"
                        : "\"Z\" or an offset such as \"+08:00\" expected, "
                          "got an empty string");
  return offset;
}

/* uqpay.parse_time(text [, zone]) -> Unix seconds, fraction */
int uqL_parse_time(lua_State *L) {
  struct uq_datetime time;
  size_t len;
  int zone = 0;
  bool zoned = !lua_isnoneornil(L, 2);
  uqL_check_dot(L, "parse_time", "(...)");
  luaL_checktype(L, 1, LUA_TSTRING);
  if (zoned)
    zone = check_zone(L);
  const char *text = lua_tolstring(L, 1, &len);
  switch (uq_datetime_parse(text, len, zoned ? &zone : NULL, &time)) {
  case UQ_DATETIME_OK:
    if (!uqL_pushint64(L, time.seconds))
      lua_pushnumber(L, (lua_Number)time.seconds);
    push_fraction(L, time.nanoseconds);
    return 2;
  case UQ_DATETIME_NONE:
    lua_pushliteral(L, "no date");
    break;
  case UQ_DATETIME_ZONE:
    lua_pushfstring(L,
                    "'%s' does not say its zone: give the one that is meant as "
                    "the second argument",
                    uqL_push_shown(L, text, len, MAX_SHOWN));
    break;
  default:
    lua_pushfstring(L, "'%s' is no time",
                    uqL_push_shown(L, text, len, MAX_SHOWN));
  }
  return uqL_push_nil_message(L);
}
