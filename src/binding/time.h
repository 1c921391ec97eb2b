/*
** time.h - times of the API as numbers.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_TIME_H
#define UQ_TIME_H

#include "binding/compat.h"

#pragma GCC visibility push(hidden)

/* uqpay.parse_time */
int uqL_parse_time(lua_State *L);

#pragma GCC visibility pop

#endif
