/*
** currency.h - the number of decimal places of a currency. Knows no Lua and no
** curl.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_NUMBER_CURRENCY_H
#define UQ_NUMBER_CURRENCY_H

#include <stddef.h>

#pragma GCC visibility push(hidden)

/* The ISO 4217 exponent of an upper-case code; -1: unknown code, or one
** without an exponent. */
int uq_currency_exponent(const char *code, size_t len);

#pragma GCC visibility pop

#endif
