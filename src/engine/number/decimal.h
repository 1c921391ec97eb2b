/*
** decimal.h - exact decimal numbers, kept as digits. A result that does not
** fit is an error; nothing is rounded. Knows no Lua and no curl.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_NUMBER_DECIMAL_H
#define UQ_NUMBER_DECIMAL_H

#include <stdbool.h>
#include <stddef.h>

#pragma GCC visibility push(hidden)

#define UQ_DECIMAL_DIGITS 38
#define UQ_DECIMAL_TEXT (UQ_DECIMAL_DIGITS + 4) /* "-0.", NUL */

/* All zero is 0. There is no negative zero. */
struct uq_decimal {
  bool negative;
  unsigned char scale;                    /* digits behind the point, to 38 */
  unsigned char digit[UQ_DECIMAL_DIGITS]; /* digit[i] * 10^(i - scale) */
};

enum uq_decimal_status {
  UQ_DECIMAL_OK,
  UQ_DECIMAL_BAD,    /* not a number of the JSON grammar */
  UQ_DECIMAL_RANGE,  /* more than 38 digits, or more than 38 places */
  UQ_DECIMAL_INEXACT /* would need rounding */
};

/* All functions below set *result only if they return UQ_DECIMAL_OK; it may be
** one of the arguments. */

enum uq_decimal_status uq_decimal_parse(const char *text, size_t len,
                                        struct uq_decimal *result);

void uq_decimal_integer(long long value, struct uq_decimal *result);

/* a + b, with the larger scale of the two. OK or RANGE. */
enum uq_decimal_status uq_decimal_add(const struct uq_decimal *a,
                                      const struct uq_decimal *b,
                                      struct uq_decimal *result);

void uq_decimal_negate(struct uq_decimal *d);

/* Compares the values, not the scales: -1, 0 or 1. */
int uq_decimal_compare(const struct uq_decimal *a, const struct uq_decimal *b);

/* The same value with `places` (0 to 38) digits behind the point. OK, RANGE or
** INEXACT. */
enum uq_decimal_status uq_decimal_rescale(const struct uq_decimal *d,
                                          int places,
                                          struct uq_decimal *result);

/* The value in units of 10^-places. OK, RANGE (also beyond 64 bits) or
** INEXACT. */
enum uq_decimal_status uq_decimal_minor(const struct uq_decimal *d, int places,
                                        long long *units);

/* Writes the value with all places of its scale, without an exponent. */
void uq_decimal_text(const struct uq_decimal *d, char text[UQ_DECIMAL_TEXT]);

#pragma GCC visibility pop

#endif
