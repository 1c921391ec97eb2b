/*
** query.h - the query of a request.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_QUERY_H
#define UQ_QUERY_H

#include <stdbool.h>

#include "binding/compat.h"

#pragma GCC visibility push(hidden)

struct uq_endpoint;
struct uq_refusal;

/* Pushes the query of a request, "" or "?a=b&c=d", made of the parameters of
** the endpoint in the table at idx (0: none), and sets currency if one is among
** them. A wrong value is refused; a wrong type raises, naming the parameter. */
void uqL_query_push(lua_State *L, const struct uq_endpoint *e, int idx,
                    const char *method, char *currency,
                    struct uq_refusal *refused);

/* True if the endpoint has a parameter of that name. */
bool uq_query_has_param(const struct uq_endpoint *e, const char *name);

#pragma GCC visibility pop

#endif
