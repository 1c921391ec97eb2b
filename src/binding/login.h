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

/* Begins a login, unless the client is closed. The client's user value is at
** uv. */
void uqL_login_begin(lua_State *L, struct uq_client *c, int uv);

/* Steps the client's login. Raises what the step raises. */
void uqL_login_step(lua_State *L, struct uq_client *c, int uv);

/* True if the call can wait for another attempt of the login, made at `wake` on
** uq_client_clock. */
bool uq_login_can_wait(const struct uq_call *call, double wake);

/* If no call waits for a login that holds the lock of the token store, it is
** canceled, and the lock is given back. The client's user value is at uv. */
void uqL_login_abandon_if_unwanted(lua_State *L, struct uq_client *c, int uv);

/* The same for the client of the call at idx, which is over, or needs no login
** any more. */
void uqL_login_leave(lua_State *L, int idx);

#pragma GCC visibility pop

#endif
