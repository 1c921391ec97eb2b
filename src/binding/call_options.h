/*
** call_options.h - the arguments of calls, iterators and batches.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_CALL_OPTIONS_H
#define UQ_CALL_OPTIONS_H

#include <stdbool.h>

#include "binding/compat.h"

#pragma GCC visibility push(hidden)

struct uq_endpoint;
struct uq_options;

/* Reads the arguments of the endpoint's method (e->each: of its iterator) from
** first on: a currency and an option table, or the table only. method: its name
** for messages. o holds the client's options. True: pushes the query of the
** request. False: a value is wrong; pushes the message. Raises, naming the
** argument or option, for a mistake in the program. */
bool uqL_call_options(lua_State *L, int first, const struct uq_endpoint *e,
                      const char *method, struct uq_options *o);

/* Reads the option table of a batch at idx, if there is one. o holds the
** client's options. False: as above. Raises as above. */
bool uqL_batch_options(lua_State *L, int idx, struct uq_options *o);

#pragma GCC visibility pop

#endif
