/*
** response.h - decodes what an attempt has brought into Lua values.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_RESPONSE_H
#define UQ_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>

#include "binding/compat.h"
#include "binding/response_context.h"

#pragma GCC visibility push(hidden)

struct uq_failure;
struct uq_response;

/* Decodes what an attempt has brought. True: pushes the result table. False:
** pushes an error table and fills failure. A login's token goes to
** context->token, past Lua, and its table has true instead; if the body is one
** for the JSON library, the table has the token. */
bool uqL_response_decode(lua_State *L,
                         const struct uq_response_context *context,
                         const struct uq_response *response,
                         struct uq_failure *failure);

/* Decodes the body of an earlier success, with the same checks; a NUL follows
** the text. True: pushes the result table. False: pushes the message of what is
** wrong. */
bool uqL_response_decode_text(lua_State *L,
                              const struct uq_response_context *context,
                              char *text, size_t len);

#pragma GCC visibility pop

#endif
