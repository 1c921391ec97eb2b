/*
** api_error.h - what the API's error responses say.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_API_ERROR_H
#define UQ_API_ERROR_H

#include <stdbool.h>

#include "binding/compat.h"

#pragma GCC visibility push(hidden)

struct uq_failure;
struct uq_response;
struct uq_response_context;

/* Both push an error table, fill failure, and return false, for decoders to
** return. */

/* The decoded body at the top is an error's. status: what it counts as; 0: an
** error without a status. */
bool uqL_api_error_of_body(lua_State *L,
                           const struct uq_response_context *context,
                           const struct uq_response *response, int status,
                           struct uq_failure *failure);

/* A response whose status is not that of a success. */
bool uqL_api_error_of_status(lua_State *L,
                             const struct uq_response_context *context,
                             const struct uq_response *response,
                             struct uq_failure *failure);

#pragma GCC visibility pop

#endif
