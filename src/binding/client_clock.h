/*
** client_clock.h - the time as a client sees it: the system's clocks, or the
** program's own by the option `clock`, with which a test need not wait.
**
** The program's clock is read when a method of the client begins, after its
** sleep, and after its transport has answered; in between it stands still. It
** is never set back.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_CLIENT_CLOCK_H
#define UQ_CLIENT_CLOCK_H

#include "binding/compat.h"

#pragma GCC visibility push(hidden)

struct uq_client;

/* Seconds for waits and deadlines: by the program's clock, else uq_clock. */
double uq_client_clock(const struct uq_client *c);

/* Unix seconds: by the program's clock, else uq_clock_unix. */
double uq_client_unix(const struct uq_client *c);

/* Reads the clock of a new client for the first time. Raises as below. */
void uqL_client_clock_start(lua_State *L, struct uq_client *c, int idx);

/* Reads the program's clock, if the client has one. idx is the index of the
** client or of one of its calls. Raises what the function raises, and an error
** if it returns no number. The client may be closed afterwards. */
void uqL_client_clock_read(lua_State *L, struct uq_client *c, int idx);

/* The same in protected mode. idx is absolute. Returns the status of lua_pcall;
** if that is not LUA_OK, pushes what was raised. */
int uqL_client_clock_try(lua_State *L, const struct uq_client *c, int idx);

/* Sleeps by the program's clock, which the client has, until a time on
** uq_client_clock, and reads it: that time has come. Raises as above. */
void uqL_client_clock_sleep(lua_State *L, struct uq_client *c, int idx,
                            double until);

#pragma GCC visibility pop

#endif
