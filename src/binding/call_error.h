/*
** call_error.h - how a call ends with an error. Each function ends the call and
** pushes nil, the message and the error table.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_CALL_ERROR_H
#define UQ_CALL_ERROR_H

#include <stdbool.h>

#include "binding/calls.h"
#include "binding/compat.h"
#include "engine/api/endpoint.h"
#include "engine/base/error_kind.h"

#pragma GCC visibility push(hidden)

/* Completes the error table at the top: adds to its message at which host,
** after how many attempts and in which request the error was met, and sets the
** fields that are the call's. stopped: why retrying stopped, or NULL. */
void uqL_call_complete_error(lua_State *L, const struct uq_call *call,
                             const char *stopped);

/* Ends the call with the error table at the top, completed. */
enum uq_verdict uqL_call_fail(lua_State *L, struct uq_call *call,
                              const char *stopped);

/* The same with the error table of its login, whose message is complete. */
enum uq_verdict uqL_call_fail_login(lua_State *L, struct uq_call *call);

/* The same with a message of our own. */
enum uq_verdict uqL_call_fail_with(lua_State *L, struct uq_call *call,
                                   enum uq_kind kind, const char *message);

/* The call was ended from outside, by its client's end for one. */
enum uq_verdict uqL_call_fail_ended(lua_State *L, struct uq_call *call);

/* The client was made by another process. */
enum uq_verdict uqL_call_fail_forked(lua_State *L, struct uq_call *call);

/* The call's time is over. what: what has not come; endpoint: the request that
** should have brought it. */
enum uq_verdict uqL_call_fail_late(lua_State *L, struct uq_call *call,
                                   const char *what,
                                   const struct uq_endpoint *endpoint);

/* A rate limit admits the call (login: the login that it waits for) at `when`,
** which is too late. */
enum uq_verdict uqL_call_fail_rate_limited(lua_State *L, struct uq_call *call,
                                           bool login, double now, double when);

#pragma GCC visibility pop

#endif
