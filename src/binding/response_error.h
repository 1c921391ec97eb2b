/*
** response_error.h - error tables of attempts: no response, and bodies that are
** not JSON.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_RESPONSE_ERROR_H
#define UQ_RESPONSE_ERROR_H

#include <stdbool.h>

#include "binding/compat.h"
#include "engine/base/error_kind.h"

#pragma GCC visibility push(hidden)

struct uq_failure;
struct uq_response;
struct uq_response_context;

/* Replaces the message at the top by an error table of that kind, with what the
** response says of itself. Returns false, for decoders to return. */
bool uqL_response_error(lua_State *L, const struct uq_response_context *context,
                        const struct uq_response *response, enum uq_kind kind);

/* The same for an attempt that got no whole response. Fills failure. */
bool uqL_response_error_missing(lua_State *L,
                                const struct uq_response_context *context,
                                const struct uq_response *response,
                                struct uq_failure *failure);

/* Replaces the message at the top by the error table of a body that is not
** JSON. If the body may have been cut off, the outcome of the request is
** unknown, and the message says so. */
bool uqL_response_error_not_json(lua_State *L,
                                 const struct uq_response_context *context,
                                 const struct uq_response *response,
                                 struct uq_failure *failure);

/* True if the body, which is not JSON, may be the beginning of an object whose
** rest is lost. */
bool uq_response_may_be_cut(const struct uq_response *response);

/* Pushes what may be why the body is not JSON: " (...)", or "". */
void uqL_response_push_hint(lua_State *L,
                            const struct uq_response_context *context,
                            const struct uq_response *response);

#pragma GCC visibility pop

#endif
