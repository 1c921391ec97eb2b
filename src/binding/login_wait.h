/*
** login_wait.h - a call's token: when the call needs a login, how it waits for
** that, and how the login's end is reported to it.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_LOGIN_WAIT_H
#define UQ_LOGIN_WAIT_H

#include <stdbool.h>

#include "binding/calls.h"
#include "binding/compat.h"

#pragma GCC visibility push(hidden)

/* The state in which the call gets its token: TOKEN if it needs a login,
** RENEWAL if the client's token is to be renewed, else ADMISSION. */
enum uq_call_state uq_login_wait_entry(const struct uq_call *call);

/* True if the call is in a state that uqL_login_wait_step has to precede. */
bool uq_login_wait_concerns(const struct uq_call *call);

/* True if uqL_login_wait_step has something to do for the call. */
bool uq_login_wait_is_due(const struct uq_call *call);

/* Begins a login for the call at idx, if none is in progress, and steps it if
** it is due. Raises what the login's step raises. */
void uqL_login_wait_step(lua_State *L, int idx, struct uq_call *call);

/* The states RENEWAL and TOKEN, after uqL_login_wait_step. */
enum uq_verdict uqL_login_wait_state(lua_State *L, int idx,
                                     struct uq_call *call);

#pragma GCC visibility pop

#endif
