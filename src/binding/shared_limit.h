/*
** shared_limit.h - the rate limit that several processes share: functions that
** uqpay.internal gives the client.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_SHARED_LIMIT_H
#define UQ_SHARED_LIMIT_H

#include <stdbool.h>

#include "binding/compat.h"

#pragma GCC visibility push(hidden)

struct uq_client;

/* Pops the three functions: take(left), not called if the client has no limit,
** announce(seconds) and pause(), as below. idx is the index of the client. */
void uqL_shared_limit_keep(lua_State *L, struct uq_client *c, int idx);

/* Of each: idx is the index of a call of the client, which may be closed
** afterwards. A function that fails is counted, and the call is not limited. */

/* Takes a shared slot. True: it begins in *wait seconds. False: that would be
** more than `left`. */
bool uqL_shared_limit_take(lua_State *L, struct uq_client *c, int idx,
                           double left, double *wait);

/* Seconds that are left of a pause that another process has announced; 0: of
** none. */
double uqL_shared_limit_pause(lua_State *L, struct uq_client *c, int idx);

/* Announces a pause of so many seconds to the other processes. */
void uqL_shared_limit_announce(lua_State *L, struct uq_client *c, int idx,
                               double pause);

#pragma GCC visibility pop

#endif
