/*
** flat_json.h - reads a JSON object that is nothing but plain strings and
*numbers,
** as nearly every answer is: a short way past the JSON library. Knows no Lua
** and no curl.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_NUMBER_FLAT_JSON_H
#define UQ_NUMBER_FLAT_JSON_H

#include <stdbool.h>
#include <stddef.h>

#pragma GCC visibility push(hidden)

/* A member of the object; name and value are within the text that was read. */
struct uq_member {
  const char *name;
  size_t name_len;
  const char *text; /* a string's content, or a number's digits */
  size_t len;
  bool string;
};

/*
** Reads the members of an object whose strings are printable ASCII without
** escapes, and whose other values are numbers by the JSON grammar. Names are
** not looked into. How many there are, at most `max`; 0: the text is not of
** that kind, and it is for the JSON library to say what it is. A NUL must
** follow the text.
*/
int uq_flat_json_parse(const char *text, size_t len, struct uq_member *members,
                       int max);

#pragma GCC visibility pop

#endif
