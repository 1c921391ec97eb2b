/*
** decimal.h - exact decimal numbers: digits, never a binary fraction. What
** does not fit is refused; nothing is ever rounded. Knows no Lua and no curl.
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
  UQ_DECIMAL_RANGE,  /* more than 38 digits, or as many behind the point */
  UQ_DECIMAL_INEXACT /* digits that are not zero would be cut off */
};

/* Below, *result is only set where UQ_DECIMAL_OK is returned, and may be one of
** the arguments. */

enum uq_decimal_status uq_decimal_parse(const char *text, size_t len,
                                        struct uq_decimal *result);

void uq_decimal_integer(long long value, struct uq_decimal *result);

/* a + b, with the larger scale of the two. OK or RANGE. */
enum uq_decimal_status uq_decimal_add(const struct uq_decimal *a,
                                      const struct uq_decimal *b,
                                      struct uq_decimal *result);

void uq_decimal_negate(struct uq_decimal *d);

/* -1, 0 or 1, whatever the scales. */
int uq_decimal_compare(const struct uq_decimal *a, const struct uq_decimal *b);

/* The same value with places (0 to 38) digits behind the point. Not BAD. */
enum uq_decimal_status uq_decimal_rescale(const struct uq_decimal *d,
                                          int places,
                                          struct uq_decimal *result);

/* The value in units of 10^-places. Not BAD; RANGE also beyond 64 bits. */
enum uq_decimal_status uq_decimal_minor(const struct uq_decimal *d, int places,
                                        long long *units);

/* Writes all digits of the scale, without an exponent. */
void uq_decimal_text(const struct uq_decimal *d, char text[UQ_DECIMAL_TEXT]);

#pragma GCC visibility pop

#endif
