/*
** custom_transport.h - the option `transport`: a function of the program that
** is called in place of libcurl, with a request, and returns a response, or
** nil, a kind and a message.
**
** It runs within the step of the call that sends the request. Under an event
** loop it runs in a coroutine of its own, so that it can yield: the function
** `serve` in the client's user value starts that (see uqpay/hub.lua), and gives
** its results to uqL_custom_transport_answer.
**
** The time that it takes counts against the attempt's timeout: a response that
** comes later is a timeout. An error in it, and results of another form, are
** failures of kind `config`, which are not retried.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_CUSTOM_TRANSPORT_H
#define UQ_CUSTOM_TRANSPORT_H

#include <stdbool.h>

#include "binding/calls.h"
#include "binding/compat.h"

#pragma GCC visibility push(hidden)

/* Registers its metatables. */
void uqL_custom_transport_open(lua_State *L);

/* Gives the request of the call at idx to the program's function; its headers
** are in call->response.sent, and call->attempt says how long it may take.
** WAIT: the call is in flight, or has been answered and is due. RESULTS: the
** call has ended, see uqL_call_fail_ended. */
enum uq_verdict uqL_custom_transport_send(lua_State *L, int idx,
                                          struct uq_call *call,
                                          const char *url);

/* The call in flight is too late: its response is that failure. */
void uq_custom_transport_expire(struct uq_call *call);

/* answer(client, number, good, ...): the function's results for the request of
** that number, which serve has started; or good = false and its error. Without
** these, memory was lacking: that allocates nothing. Nothing happens if the call
** has ended since. */
int uqL_custom_transport_answer(lua_State *L);

#pragma GCC visibility pop

#endif
