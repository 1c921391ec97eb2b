/*
** failed_attempt.h - what comes after a failed attempt of a call: another
** token, another attempt, or the end of the call.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_FAILED_ATTEMPT_H
#define UQ_FAILED_ATTEMPT_H

#include "binding/calls.h"
#include "binding/compat.h"
#include "engine/policy/retry.h"

#pragma GCC visibility push(hidden)

/* The attempt of the call at idx has failed; its error table is at the top.
** WAIT: the table is popped, and the call is in the state BACKOFF before the
** next attempt. RESULTS: the call is over. */
enum uq_verdict uqL_failed_attempt(lua_State *L, int idx, struct uq_call *call,
                                   const struct uq_failure *f);

#pragma GCC visibility pop

#endif
