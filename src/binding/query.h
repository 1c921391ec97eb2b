/*
** query.h - the query string of a GET request.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_QUERY_H
#define UQ_QUERY_H

#include <stdbool.h>

#include "binding/compat.h"

#pragma GCC visibility push(hidden)

struct uq_endpoint;
struct uq_refusal;

/* Pushes the query, "" or "?a=b&c=d", made of the endpoint's parameters in the
** table at idx (0: no table), and copies the currency if it is one of them. A
** wrong value goes to refused; a wrong type raises, naming the parameter. */
void uqL_query_push(lua_State *L, const struct uq_endpoint *e, int idx,
                    const char *method, char *currency,
                    struct uq_refusal *refused);

/* True if the endpoint has a parameter of that name. */
bool uq_query_has_param(const struct uq_endpoint *e, const char *name);

#pragma GCC visibility pop

#endif
