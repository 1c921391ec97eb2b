/*
** internal.h - what the Lua files share with C.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_INTERNAL_H
#define UQ_INTERNAL_H

#include "binding/compat.h"

#pragma GCC visibility push(hidden)

struct uq_options;

/* Pushes what start of uqpay.internal needs to know of a batch: the options of
** its calls. */
void uqL_batch_new(lua_State *L, const struct uq_options *o);

#pragma GCC visibility pop

#endif
