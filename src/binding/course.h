/*
** course.h - steps of a call, state by state, until it waits or is over.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_COURSE_H
#define UQ_COURSE_H

#include <stdbool.h>

#include "binding/calls.h"
#include "binding/compat.h"

#pragma GCC visibility push(hidden)

/* States that are the same for all calls. */

/* STORE, BACKOFF, a login's SLOT: when its time is over, the call starts again.
 */
enum uq_verdict uqL_state_pause(lua_State *L, int idx, struct uq_call *call);

/* ENDED */
enum uq_verdict uqL_state_ended(lua_State *L, int idx, struct uq_call *call);

/* Runs the states of the call at idx until it waits or is over. 0: it waits;
** else the number of results pushed. Never blocks. */
int uqL_course_step(lua_State *L, int idx, struct uq_call *call);

/* Runs a step of the call at idx, which has a user value of its own, in
** protected mode: `step` is called with the call at 1. Nothing if the call is
** being stepped, or has its results. False: pushes what the step has raised;
** the call is over. */
bool uqL_course_try(lua_State *L, int idx, lua_CFunction step);

/* Keeps the n results at the top in the user value of the call at idx. */
void uqL_course_keep_results(lua_State *L, int idx, struct uq_call *call,
                             int n);

#pragma GCC visibility pop

#endif
