/*
** admission.h - a call's slot under the rate limit: the client's own, and those
** that several processes share.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_ADMISSION_H
#define UQ_ADMISSION_H

#include "binding/calls.h"
#include "binding/compat.h"

#pragma GCC visibility push(hidden)

/* Takes a slot for the next attempt of the call at idx. GO: it has one. WAIT:
** the call waits, in the state QUEUED or SLOT, and then asks again. RESULTS: it
** would be too late. The client may be closed afterwards. */
enum uq_verdict uqL_admission(lua_State *L, int idx, struct uq_call *call);

/* The same for a login, which has its own limit and no queue. */
enum uq_verdict uq_admission_login(struct uq_call *login);

/* The states QUEUED and SLOT: when the time of its slot has come, the call
** starts again, since its token may be lost by then. */
enum uq_verdict uqL_admission_wait(lua_State *L, int idx, struct uq_call *call);

/* An attempt of the call at idx is over: takes as many shared slots as libcurl
** has resent it. */
void uqL_admission_pay(lua_State *L, int idx, struct uq_call *call);

#pragma GCC visibility pop

#endif
