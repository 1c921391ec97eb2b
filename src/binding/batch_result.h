/*
** batch_result.h - what a batch gives: a query and its call's results.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_BATCH_RESULT_H
#define UQ_BATCH_RESULT_H

#include "binding/compat.h"

#pragma GCC visibility push(hidden)

struct uq_batch;

/* The batch is at 1, uv is the index of its user value. */

/* Pushes the query and the results of the first finished call, which is free
** then. Returns their number. Allocates nothing. */
int uqL_batch_take_result(lua_State *L, struct uq_batch *b, int uv);

/* The same, and calls the batch's `progress`. 0: a finalizer has taken that
** result. */
int uqL_batch_push_result(lua_State *L, struct uq_batch *b, int uv);

/* Pushes what `progress` is called with. */
void uqL_batch_push_info(lua_State *L, const struct uq_batch *b);

#pragma GCC visibility pop

#endif
