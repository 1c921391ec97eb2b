/*
** json_numbers.h - turns every number of a JSON text into a marked string, so
** that the JSON library converts none: amounts keep the digits that were sent.
** Knows no Lua and no curl.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_NUMBER_JSON_NUMBERS_H
#define UQ_NUMBER_JSON_NUMBERS_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/base/buf.h"

#pragma GCC visibility push(hidden)

/* The first byte of a number's string. It occurs in no UTF-8 text and no JSON
** escape yields it, so no string of the sender can look like a number. */
#define UQ_NUMBER_MARK '\xff'

/* Deeper nesting is an error. The API's own responses are three deep. */
#define UQ_JSON_DEPTH 32

enum uq_json_numbers_status {
  UQ_JSON_NUMBERS_OK,
  UQ_JSON_NUMBERS_BAD,
  UQ_JSON_NUMBERS_NOMEM
};

struct uq_json_numbers {
  size_t members;  /* "name": value pairs, duplicates included */
  const char *why; /* if BAD: what is wrong ... */
  size_t at;       /* ... and at which byte, from 1 */
};

/*
** Writes text to out with each number N as "<mark>N". Checks what a JSON
** library may not: the grammar of numbers and literals, that names are
** strings, UTF-8, no raw control byte in a string, depth. Commas and brackets
** are left to the library. With allow_trailing_comma, a comma before a closing
** bracket is dropped (the API's documented 429 body has one).
*/
enum uq_json_numbers_status
uq_json_stringify_numbers(const char *text, size_t len,
                          bool allow_trailing_comma, struct uq_buf *out,
                          struct uq_json_numbers *result);

#pragma GCC visibility pop

#endif
