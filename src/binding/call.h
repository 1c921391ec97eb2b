/*
** call.h - calls of the program: blocking ones, and call objects.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_CALL_H
#define UQ_CALL_H

#include <stdbool.h>

#include "binding/calls.h"
#include "binding/compat.h"
#include "binding/options.h"
#include "engine/api/endpoint.h"
#include "engine/policy/run_queue.h"

#pragma GCC visibility push(hidden)

/* Registers the class of call objects. */
void uqL_call_open(lua_State *L);

/* Makes a call of the client at idx (absolute), whose query is the string at
** the top, and blocks until it is over, up to its timeout. Returns the number
** of results pushed: the balance, or nil, message and error. Raises if the
** client is closed, and what a debug hook raises (the interpreter's Ctrl-C);
** the call is canceled then. */
int uqL_call_run(lua_State *L, int client, const struct uq_endpoint *e,
                 const struct uq_options *o);

/* Replaces the query at the top by a call object, begun. listed: client:ready
** may return it. Raises if the client is closed. */
void uqL_call_start(lua_State *L, int client, const struct uq_endpoint *e,
                    const struct uq_options *o, bool listed);

/* Steps the call object at idx, the engine before if that is asked for. True:
** it has its results. Raises what its step raises; the call is over then. */
bool uqL_call_step(lua_State *L, int idx, bool engine);

/* Blocks until the call object at idx is over, or is being stepped. Raises what
** its steps and a debug hook raise. */
void uqL_call_wait(lua_State *L, int idx);

/* The failure of a call that is not begun: the message at the top says which
** value of its options is refused. Returns the number of results pushed. */
int uqL_call_refuse(lua_State *L, const struct uq_endpoint *e,
                    const struct uq_options *o);

/* The same: replaces the message by a call object that is over. */
void uqL_call_start_refused(lua_State *L, int client,
                            const struct uq_endpoint *e,
                            const struct uq_options *o);

/* For the calls of a batch, which are used again and again. */

/* Begins a call object that is over, in a group of tasks. False: the client is
** closed. */
bool uqL_call_begin_object(struct uq_call *call, struct uq_client *c,
                           const struct uq_endpoint *e,
                           const struct uq_options *o,
                           struct uq_task_group *group);

/* Pops the message at the top: it says which value of the options is refused,
** and is the failure of the call object at idx, which is not begun. */
void uqL_call_refuse_object(lua_State *L, int idx, const struct uq_endpoint *e,
                            const struct uq_options *o);

#pragma GCC visibility pop

#endif
