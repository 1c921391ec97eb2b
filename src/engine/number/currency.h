/*
** currency.h - how many decimals a currency has. Knows no Lua and no curl.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_NUMBER_CURRENCY_H
#define UQ_NUMBER_CURRENCY_H

#include <stddef.h>

#pragma GCC visibility push(hidden)

/* The exponent of ISO 4217 for an upper-case code; -1: it lists no such code,
** or no exponent for it. */
int uq_currency_exponent(const char *code, size_t len);

#pragma GCC visibility pop

#endif
