/*
** client_options.h - the options of a client.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_CLIENT_OPTIONS_H
#define UQ_CLIENT_OPTIONS_H

#include "binding/compat.h"

#pragma GCC visibility push(hidden)

struct uq_client;

/* Reads the table at idx, the argument of uqpay.new, into c->options, c->token,
** c->api_key and the client's user value, which is at the top. Raises, naming
** the option. */
void uqL_client_options(lua_State *L, int idx, struct uq_client *c);

#pragma GCC visibility pop

#endif
