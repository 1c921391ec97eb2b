/*
** decimal.c - see decimal.h. Written to be easy to verify: a digit is looked
** up by its power of ten, so numbers of different scales need no shifting.
** SPDX-License-Identifier: MIT
*/
#include "engine/number/decimal.h"

#include <limits.h>
#include <string.h>

#include "engine/number/number.h"

#define DIGITS UQ_DECIMAL_DIGITS

static int digit_at(const struct uq_decimal *d, int power) {
  int i = power + d->scale;
  return i >= 0 && i < DIGITS ? d->digit[i] : 0;
}

static bool is_zero(const struct uq_decimal *d) {
  for (int i = 0; i < DIGITS; i++) {
    if (d->digit[i] != 0)
      return false;
  }
  return true;
}

void uq_decimal_negate(struct uq_decimal *d) {
  d->negative = !d->negative && !is_zero(d);
}

/* The number behind the "e". An exponent that no digits can compensate is cut
** to one that is still out of range. */
static long long read_exponent(const char *p, const char *end) {
  bool negative = *p == '-';
  long long value = 0;
  for (p += *p == '-' || *p == '+'; p < end; p++) {
    if (value < LLONG_MAX / 100)
      value = value * 10 + (*p - '0');
  }
  return negative ? -value : value;
}

/* The digits of a number's text, from the first nonzero one on. */
struct mantissa {
  char digits[DIGITS];
  int count;
  long long places; /* of them behind the point; below 0: zeros to append */
};

/* Reads a valid number up to its exponent and returns where that begins. NULL:
** too many digits. */
static const char *read_mantissa(const char *p, const char *end,
                                 struct mantissa *m) {
  bool point = false;
  m->count = 0;
  m->places = 0;
  for (p += *p == '-'; p < end && *p != 'e' && *p != 'E'; p++) {
    if (*p == '.') {
      point = true;
      continue;
    }
    m->places += point;
    if (m->count == 0 && *p == '0')
      continue;
    if (m->count == DIGITS)
      return NULL;
    m->digits[m->count++] = *p;
  }
  return p;
}

enum uq_decimal_status uq_decimal_parse(const char *text, size_t len,
                                        struct uq_decimal *result) {
  const char *end = text + len;
  struct mantissa m;
  if (!uq_number_valid(text, len))
    return UQ_DECIMAL_BAD;
  const char *exponent = read_mantissa(text, end, &m);
  if (exponent == NULL)
    return UQ_DECIMAL_RANGE;
  if (exponent < end)
    m.places -= read_exponent(exponent + 1, end);
  if (m.places > DIGITS || (m.count > 0 && m.count - m.places > DIGITS))
    return UQ_DECIMAL_RANGE;
  int zeros = m.count > 0 && m.places < 0 ? (int)-m.places : 0;
  struct uq_decimal d = {m.count > 0 && *text == '-', 0, {0}};
  d.scale = (unsigned char)(m.places > 0 ? m.places : 0);
  for (int i = 0; i < m.count; i++)
    d.digit[zeros + i] = (unsigned char)(m.digits[m.count - 1 - i] - '0');
  *result = d;
  return UQ_DECIMAL_OK;
}

void uq_decimal_integer(long long value, struct uq_decimal *result) {
  struct uq_decimal d = {value < 0, 0, {0}};
  for (int i = 0; value != 0; i++, value /= 10)
    d.digit[i] = (unsigned char)(value < 0 ? -(value % 10) : value % 10);
  *result = d;
}

/* Compares without the signs. */
static int compare_digits(const struct uq_decimal *a,
                          const struct uq_decimal *b) {
  for (int power = DIGITS - 1; power >= -DIGITS; power--) {
    int difference = digit_at(a, power) - digit_at(b, power);
    if (difference != 0)
      return difference < 0 ? -1 : 1;
  }
  return 0;
}

int uq_decimal_compare(const struct uq_decimal *a, const struct uq_decimal *b) {
  if (a->negative != b->negative)
    return a->negative ? -1 : 1;
  return a->negative ? compare_digits(b, a) : compare_digits(a, b);
}

enum uq_decimal_status uq_decimal_add(const struct uq_decimal *a,
                                      const struct uq_decimal *b,
                                      struct uq_decimal *result) {
  int sign = a->negative == b->negative ? 1 : -1, carry = 0;
  if (sign < 0 && compare_digits(a, b) < 0) { /* the smaller from the larger */
    const struct uq_decimal *smaller = a;
    a = b;
    b = smaller;
  }
  struct uq_decimal sum = {a->negative, 0, {0}};
  sum.scale = a->scale > b->scale ? a->scale : b->scale;
  for (int power = -sum.scale; power < DIGITS; power++) {
    int digit = digit_at(a, power) + sign * digit_at(b, power) + carry;
    int i = power + sum.scale;
    carry = digit < 0 ? -1 : digit > 9;
    digit -= 10 * carry;
    if (i < DIGITS)
      sum.digit[i] = (unsigned char)digit;
    else if (digit != 0)
      return UQ_DECIMAL_RANGE;
  }
  if (carry != 0)
    return UQ_DECIMAL_RANGE;
  sum.negative = sum.negative && !is_zero(&sum);
  *result = sum;
  return UQ_DECIMAL_OK;
}

enum uq_decimal_status uq_decimal_rescale(const struct uq_decimal *d,
                                          int places,
                                          struct uq_decimal *result) {
  struct uq_decimal r = {d->negative, (unsigned char)places, {0}};
  for (int power = -DIGITS; power < DIGITS; power++) {
    int digit = digit_at(d, power), i = power + places;
    if (i >= 0 && i < DIGITS)
      r.digit[i] = (unsigned char)digit;
    else if (digit != 0)
      return i < 0 ? UQ_DECIMAL_INEXACT : UQ_DECIMAL_RANGE;
  }
  *result = r;
  return UQ_DECIMAL_OK;
}

enum uq_decimal_status uq_decimal_minor(const struct uq_decimal *d, int places,
                                        long long *units) {
  struct uq_decimal r;
  long long value = 0; /* below 0, where one more number fits */
  enum uq_decimal_status status = uq_decimal_rescale(d, places, &r);
  if (status != UQ_DECIMAL_OK)
    return status;
  for (int i = DIGITS - 1; i >= 0; i--) {
    if (value < (LLONG_MIN + r.digit[i]) / 10)
      return UQ_DECIMAL_RANGE;
    value = value * 10 - r.digit[i];
  }
  if (!r.negative && value == LLONG_MIN)
    return UQ_DECIMAL_RANGE;
  *units = r.negative ? value : -value;
  return UQ_DECIMAL_OK;
}

void uq_decimal_text(const struct uq_decimal *d, char text[UQ_DECIMAL_TEXT]) {
  char *p = text;
  int power = DIGITS - 1;
  while (power > 0 && digit_at(d, power) == 0)
    power--;
  if (d->negative)
    *p++ = '-';
  for (; power >= -d->scale; power--) {
    if (power == -1)
      *p++ = '.';
    *p++ = (char)('0' + digit_at(d, power));
  }
  *p = '\0';
}
