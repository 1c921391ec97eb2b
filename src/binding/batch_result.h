/*
** batch_result.h - what a batch gives: a query and its call's results.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_BATCH_RESULT_H
#define UQ_BATCH_RESULT_H

#include "binding/compat.h"

#pragma GCC visibility push(hidden)

struct uq_batch;

/* Pushes the query and the results of the first finished call, calls the
** batch's `progress`, and makes the call free. The batch is at 1, uv is the
** index of its user value. Returns their number; 0: a finalizer has taken that
** result. */
int uqL_batch_push_result(lua_State *L, struct uq_batch *b, int uv);

#pragma GCC visibility pop

#endif
