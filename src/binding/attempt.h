/*
** attempt.h - the attempts of a call: a request, its response, and whether
** there is another. Never waits.
**
** Keys: a fresh one for each attempt, but the same one while the outcome of
** the last attempt is unknown; the API replays a stored answer, a failure's
** too, for a key that it has seen. A caller's own key is never changed.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_ATTEMPT_H
#define UQ_ATTEMPT_H

#include "binding/calls.h"
#include "binding/compat.h"

#pragma GCC visibility push(hidden)

extern const char uq_no_answer[];

/* Asks the token function of the client of the call at idx, if that is needed.
** GO: the client has a token. RESULTS: it has none. */
enum uq_verdict uqL_attempt_ask_token(lua_State *L, int idx,
                                      struct uq_call *call);

/* Sends an attempt of the call at idx. WAIT: the call is in the state
** IN_FLIGHT. RESULTS: it cannot be sent. */
enum uq_verdict uqL_attempt_begin(lua_State *L, int idx, struct uq_call *call);

/* The state IN_FLIGHT. */
enum uq_verdict uqL_attempt_in_flight(lua_State *L, int idx,
                                      struct uq_call *call);

/* Reads what has arrived for a call in flight that was not stepped for a while.
 */
void uq_attempt_look(const struct uq_call *call);

#pragma GCC visibility pop

#endif
