/*
** json.h - JSON by lua-cjson, numbers by us.
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

/* Gets this state its private lua-cjson instance. Raises if there is none. */
void uqL_json_open(lua_State *L);

/* Pushes lua-cjson's version. */
void uqL_json_version(lua_State *L);

/* Decodes a text whose numbers stay marked strings. True: pushes the value and
** sets members; false: pushes why not. */
bool uqL_json_decode(lua_State *L, const char *text, size_t len, bool mend,
                     struct uq_buf *scratch, size_t *members);

/* The type of the decoded value at idx, and its characters if it is a number
** or a string. */
enum uq_json_type uqL_json_type(lua_State *L, int idx, const char **text,
                                size_t *len);

/* The double nearest to a number's text. False: it is beyond their range, and
** *value is infinite or 0. */
bool uqL_json_double(lua_State *L, const char *text, size_t len, double *value);

/* Pushes a number's text as the Lua value that `amounts` asks for; money is a
** float, anything else an integer where it is one. False, nothing pushed: it is
** beyond the range of that. */
bool uqL_json_push_number(lua_State *L, const char *text, size_t len,
                          int amounts, bool money);

/* Turns the marked numbers below the decoded table at the top into Lua values
** and takes the nulls out. Returns the members counted, nulls included, or -1:
** a number is out of range, and its name is pushed. */
long uqL_json_convert_numbers(lua_State *L, int amounts);

#pragma GCC visibility pop

#endif
