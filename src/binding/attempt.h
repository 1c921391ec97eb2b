/*
** attempt.h - the course of a call.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_ATTEMPT_H
#define UQ_ATTEMPT_H

#include <stdbool.h>

#include "binding/compat.h"

#pragma GCC visibility push(hidden)

struct uq_call;
struct uq_client;
struct uq_rate_limiter;

/* Lets the call at idx go on without waiting. 0: it is not finished; else the
** number of results pushed: the balance, or nil, message and error. */
int uqL_attempt_step(lua_State *L, int idx);

/* Is it at work, rather than waiting for a moment? */
bool uq_attempt_ready(const struct uq_call *call);

/* Reads what may have come for a call in flight that no other step reads for.
 */
void uq_attempt_look(const struct uq_call *call);

/* Counts the resends that libcurl has made by itself for a call in flight, and
** charges them to the rate limit. */
void uq_attempt_count_resends(struct uq_call *call);

/* Whose turns it takes under the rate limit. */
struct uq_rate_limiter *uq_attempt_rate_limiter(const struct uq_call *call,
                                                struct uq_client *c);

#pragma GCC visibility pop

#endif
