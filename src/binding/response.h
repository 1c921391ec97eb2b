/*
** response.h - what came of an attempt, as Lua values.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_RESPONSE_H
#define UQ_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>

#include "binding/compat.h"
#include "engine/base/redact.h"

#pragma GCC visibility push(hidden)

struct uq_buf;
struct uq_endpoint;
struct uq_failure;
struct uq_response;

/* All of it must outlast the judgement, whatever finalizers do meanwhile. */
struct uq_response_context {
  const struct uq_endpoint *endpoint;
  const char *query; /* "" or "?page_size=10&page_number=1..." */
  const char *currency;
  const char *ca_file; /* in use, for messages; NULL: the default */
  int amounts;
  struct uq_secrets secrets;
  struct uq_buf *scratch;
  struct uq_buf *token; /* of a login; empty. NULL: none is wanted */
};

/* Judges what came of an attempt. True: pushes the result table. False: pushes
** an error table and fills f. A login's token goes into q->token, past Lua, and
** its table has true in that place; but not so if the answer is one for the
** JSON library. */
bool uqL_response_decode(lua_State *L, const struct uq_response_context *q,
                         const struct uq_response *a, struct uq_failure *f);

/* Reads the body of a success once more, with the same checks; a NUL follows
** the text. True: pushes the result table. False: pushes why not. */
bool uqL_response_read(lua_State *L, const struct uq_response_context *q,
                       char *text, size_t len);

#pragma GCC visibility pop

#endif
