/*
** reclaim.h - frees descriptors by a garbage collection.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_RECLAIM_H
#define UQ_RECLAIM_H

#include <stdbool.h>
#include <stddef.h>

#include "binding/compat.h"

#pragma GCC visibility push(hidden)

struct uq_client;

/* Collects garbage if the process lacks descriptors: unreachable clients, calls
** and files may hold some. c: the client that needs one, or NULL; it may be
** closed afterwards. False: nothing was collected. */
bool uqL_reclaim(lua_State *L, struct uq_client *c);

#pragma GCC visibility pop

#endif
