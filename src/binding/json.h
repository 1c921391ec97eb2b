/*
** json.h - JSON by lua-cjson, its numbers by our own code.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_JSON_H
#define UQ_JSON_H

#include <stdbool.h>
#include <stddef.h>

#include "binding/compat.h"

#pragma GCC visibility push(hidden)

struct uq_buf;

enum uq_json_type {
  UQ_JSON_ABSENT, /* or null */
  UQ_JSON_NUMBER,
  UQ_JSON_STRING,
  UQ_JSON_TABLE,
  UQ_JSON_OTHER /* true, false, or a number that is a Lua number already */
};

/* Loads lua-cjson, a private instance for this state. Raises if there is none.
 */
void uqL_json_open(lua_State *L);

/* Pushes lua-cjson's version. */
void uqL_json_version(lua_State *L);

/* Decodes a text; its numbers stay marked strings. allow_trailing_comma: before
** a closing bracket. True: pushes the value, and sets *members to the number of
** its members. False: pushes what is wrong. */
bool uqL_json_decode(lua_State *L, const char *text, size_t len,
                     bool allow_trailing_comma, struct uq_buf *scratch,
                     size_t *members);

/* The type of the decoded value at idx, and its characters if it is a number
** or a string. */
enum uq_json_type uqL_json_type(lua_State *L, int idx, const char **text,
                                size_t *len);

/* The double nearest to a number's text. False: out of a double's range; *value
** is infinite or 0 then. */
bool uqL_json_double(lua_State *L, const char *text, size_t len, double *value);

/* Pushes a number's text as the Lua value that `amounts` asks for (enum
** uq_amounts). As a Lua number, money is a float, anything else an integer if
** it is whole. False, nothing pushed: out of the range of such values. */
bool uqL_json_push_number(lua_State *L, const char *text, size_t len,
                          int amounts, bool money);

/* Converts the marked numbers in the decoded table at the top, at any depth,
** into Lua values, and removes the nulls. Returns the number of members, nulls
** included; -1: a number is out of range, and its key is pushed. */
long uqL_json_convert_numbers(lua_State *L, int amounts);

#pragma GCC visibility pop

#endif
