/*
** file_store.h - a token store in a file.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_FILE_STORE_H
#define UQ_FILE_STORE_H

#include "binding/compat.h"

#pragma GCC visibility push(hidden)

/* Registers the class. */
void uqL_file_store_open(lua_State *L);

/* uqpay.file_store */
int uqL_file_store_new(lua_State *L);

#pragma GCC visibility pop

#endif
