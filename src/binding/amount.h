/*
** amount.h - exact amounts of money.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_AMOUNT_H
#define UQ_AMOUNT_H

#include "binding/compat.h"

#pragma GCC visibility push(hidden)

struct uq_decimal;

#define UQ_AMOUNT "uqpay.amount" /* metatable */

/* Registers the class of amounts. */
void uqL_amount_open(lua_State *L);

/* Pushes an amount. */
void uqL_amount_push(lua_State *L, const struct uq_decimal *value);

/* uqpay.amount, uqpay.sum */
int uqL_amount_new(lua_State *L);
int uqL_amount_sum(lua_State *L);

#pragma GCC visibility pop

#endif
