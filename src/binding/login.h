/*
** login.h - a token by client_id and api_key.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_LOGIN_H
#define UQ_LOGIN_H

#include <stdbool.h>

#include "binding/compat.h"

#pragma GCC visibility push(hidden)

struct uq_call;
struct uq_client;

enum uq_login_state { UQ_LOGIN_DONE, UQ_LOGIN_WAIT, UQ_LOGIN_FAILED };

/* Has the client of the call at idx, which logs in by itself, a token for it?
** WAIT: ask again when the call is ready. FAILED: pushes the error table. */
enum uq_login_state uqL_login(lua_State *L, int idx);

/* Seconds that the next attempt of a login may take. */
double uq_login_limit(const struct uq_client *c);

/* An attempt of a login is over, with its outcome at hand. */
void uq_login_took(const struct uq_call *login);

/* An attempt of the login has failed; another can be made at `wake`. True if
** some call waits for it that has retries and time left, or if none waits and
** the client's max_retries allow it. */
bool uq_login_wanted(const struct uq_call *login, double wake);

/* An attempt of the login at idx has failed, and another will be made: keeps
** the error table at the top for calls that cannot wait for that. */
void uqL_login_keep_error(lua_State *L, int idx);

#define UQ_LOGIN_FAILED_TEXT "login failed: " /* messages begin with it */

/* The call at idx has ended: if nobody waits any more for a login that holds
** the lock of the token store, that ends, too, and gives the lock back. */
void uqL_login_abandon_if_unwanted(lua_State *L, int idx);

#pragma GCC visibility pop

#endif
