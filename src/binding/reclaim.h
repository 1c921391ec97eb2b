/*
** reclaim.h - descriptors that only garbage holds.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_RECLAIM_H
#define UQ_RECLAIM_H

#include <stdbool.h>
#include <stddef.h>

#include "binding/compat.h"

#pragma GCC visibility push(hidden)

struct uq_client;

/* If descriptors are lacking: collects garbage, which may hold some. False: it
** did not. c is the client that needs them, or NULL; it may be closed
** afterwards. */
bool uqL_reclaim(lua_State *L, struct uq_client *c);

#pragma GCC visibility pop

#endif
