/*
** schema.h - checks decoded values against an endpoint's schema.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_SCHEMA_H
#define UQ_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>

#include "binding/compat.h"
#include "engine/api/endpoint.h"

#pragma GCC visibility push(hidden)

struct uq_response_context;

/* Checks the decoded table at the top against the endpoint's schema, and
** replaces amounts, counts and lists of strings by the values that a result
** has. False: pushes what is wrong. */
bool uqL_schema_check(lua_State *L, const struct uq_response_context *context);

/* What is wrong with a string without control bytes as a field of that type;
** NULL: nothing. */
const char *uq_schema_check_string(const struct uq_response_context *context,
                                   const char *text, size_t len,
                                   enum uq_field_type wanted);

/* What is wrong with a number that the form of amounts cannot represent. */
const char *uq_schema_out_of_range(int amounts);

#pragma GCC visibility pop

#endif
