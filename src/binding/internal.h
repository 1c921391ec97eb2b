/*
** internal.h - the module uqpay.internal: what C shares with the Lua files of
** uqpay. Not for programs.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_INTERNAL_H
#define UQ_INTERNAL_H

#include "binding/auxlib.h"
#include "binding/compat.h"

/* require "uqpay.internal" finds it in the library of the module. */
UQ_EXPORT int luaopen_uqpay_internal(lua_State *L);

#endif
