/*
** login.h - a token by client_id and api_key. A login uses a call of its own,
** of the token endpoint, that the client keeps in its user value: one at a time
** for all its calls, stepped by whichever of them is stepped. It is made at the
** first need, and ahead of the token's end while that is still good.
**
** Calls that wait for it share the work, and nothing else: each has its own
** timeout and retries. The limit of an attempt of the login is fixed when it is
** sent. When it fails, another one is made if some call still waits for it that
** has retries and time left.
**
** A login may outlive its waiters: the next call finds its response. Not so
** while it holds the lock of the token store, for which other processes wait:
** then a call stays with it, or it is canceled and the lock is given back.
** https://developers.uqpay.com/account-center/v1.6/api-reference/access-token
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_LOGIN_H
#define UQ_LOGIN_H

#include <stdbool.h>

#include "binding/calls.h"
#include "binding/compat.h"

#pragma GCC visibility push(hidden)

#define UQ_LOGIN_FAILED_TEXT "login failed: " /* messages begin with it */

/* The state in which the call sees to its token: TOKEN if it needs a login,
** RENEWAL if the client's token is to be renewed, else ADMISSION. */
enum uq_call_state uq_login_state(const struct uq_call *call);

/* The states RENEWAL and TOKEN, after uqL_login_step. */
enum uq_verdict uqL_login_wait(lua_State *L, int idx, struct uq_call *call);

/* True if the call is in a state that uqL_login_step has to precede. */
bool uq_login_concerns(const struct uq_call *call);

/* Begins a login for the call at idx, if there is none, and steps it if it is
** due. Raises what the login's step raises. */
void uqL_login_step(lua_State *L, int idx, struct uq_call *call);

/* True if uqL_login_step has something to do for the call. */
bool uq_login_is_due(const struct uq_call *call);

/* The call at idx is over, or needs no login any more: if no call waits for a
** login that holds the lock of the token store, it is canceled, and the lock is
** given back. */
void uqL_login_abandon_if_unwanted(lua_State *L, int idx);

#pragma GCC visibility pop

#endif
