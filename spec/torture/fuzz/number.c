/*
** number.c - the grammar of numbers, doubles and exact decimals
** (src/engine/number/number.c, decimal.c) against arithmetic on long arrays of
** single digits. The bytes are two numbers with a comma between them.
** SPDX-License-Identifier: MIT
*/
#include "fuzz.h"

#include <limits.h>
#include <math.h>

#include "engine/number/decimal.h"
#include "engine/number/number.h"

#define ROW 400 /* digits of a row; units are in the middle of it */
#define UNITS (ROW / 2)

/* A number in full: digit[UNITS + i] is that of 10^i. */
struct row {
  int sign;
  int places; /* as written, behind the point */
  int digit[ROW];
};

enum reading { READ_BAD, READ_FAR, READ_OK };

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* Is it a number? If so, where its parts begin and end. */
struct parts {
  const char *whole, *whole_end, *fraction, *fraction_end, *exponent;
};

static bool split(const char *p, const char *end, struct parts *parts) {
  if (p < end && *p == '-')
    p++;
  parts->whole = p;
  while (p < end && is_digit(*p))
    p++;
  parts->whole_end = parts->fraction = parts->fraction_end = p;
  parts->exponent = NULL;
  if (p == parts->whole || (*parts->whole == '0' && p - parts->whole > 1))
    return false;
  if (p < end && *p == '.') {
    parts->fraction = ++p;
    while (p < end && is_digit(*p))
      p++;
    parts->fraction_end = p;
    if (p == parts->fraction)
      return false;
  }
  if (p == end)
    return true;
  if (*p != 'e' && *p != 'E')
    return false;
  parts->exponent = ++p;
  if (p < end && (*p == '+' || *p == '-'))
    p++;
  if (p == end)
    return false;
  for (; p < end; p++) {
    if (!is_digit(*p))
      return false;
  }
  return true;
}

/* Lays the number out. FAR: it has no room, and none in a decimal either. */
static enum reading lay_out(const char *text, size_t len, struct row *row) {
  const char *end = text + len;
  struct parts parts;
  long exponent = 0;
  bool zero = true;
  memset(row, 0, sizeof *row);
  if (!split(text, end, &parts))
    return READ_BAD;
  if (parts.exponent != NULL) {
    const char *p = parts.exponent;
    bool negative = *p == '-';
    for (p += negative || *p == '+'; p < end; p++)
      exponent = exponent > 100000 ? exponent : exponent * 10 + (*p - '0');
    exponent = negative ? -exponent : exponent;
  }
  long places = (long)(parts.fraction_end - parts.fraction) - exponent;
  row->sign = *text == '-' ? -1 : 1;
  row->places = places > 0 ? (places < 1000 ? (int)places : 1000) : 0;
  long power = (long)(parts.whole_end - parts.whole) - 1 + exponent;
  bool fits = true;
  for (const char *p = parts.whole; p < parts.fraction_end; p++) {
    if (!is_digit(*p))
      continue;
    if (*p != '0') {
      zero = false;
      if (power < -UNITS || power >= UNITS)
        fits = false;
      else
        row->digit[UNITS + power] = *p - '0';
    }
    power--;
  }
  if (zero)
    row->sign = 1;
  return fits ? READ_OK : READ_FAR;
}

static bool is_within(const struct row *row, int from, int to) {
  for (int i = 0; i < ROW; i++) {
    if (row->digit[i] != 0 && (i - UNITS < from || i - UNITS >= to))
      return false;
  }
  return true;
}

/* Does a decimal of so many places hold it? */
static bool is_held(const struct row *row, int places) {
  return places <= UQ_DECIMAL_DIGITS &&
         is_within(row, -places, UQ_DECIMAL_DIGITS - places);
}

/* The text of it with so many places. */
static void write_out(const struct row *row, int places, char *text) {
  int power = UNITS - 1;
  bool zero = is_within(row, 0, 0);
  while (power > 0 && row->digit[UNITS + power] == 0)
    power--;
  if (row->sign < 0 && !zero)
    *text++ = '-';
  for (; power >= -places; power--) {
    if (power == -1)
      *text++ = '.';
    *text++ = (char)('0' + row->digit[UNITS + power]);
  }
  *text = '\0';
}

static void check_text(const struct uq_decimal *d, const struct row *row,
                       int places) {
  char text[UQ_DECIMAL_TEXT], expected[ROW + 4];
  uq_decimal_text(d, text);
  write_out(row, places, expected);
  CHECK(strcmp(text, expected) == 0);
}

/* Reads one number both ways. True: it is a decimal. */
static bool read(const char *text, size_t len, struct row *row,
                 struct uq_decimal *d) {
  enum reading reading = lay_out(text, len, row);
  CHECK(uq_number_valid(text, len) == (reading != READ_BAD));
  CHECK(len == 0 || uq_number_scan(text, text + len) <= len);
  enum uq_decimal_status status = uq_decimal_parse(text, len, d);
  CHECK((status == UQ_DECIMAL_BAD) == (reading == READ_BAD));
  if (reading == READ_BAD)
    return false;
  bool held = reading == READ_OK && row->places <= UQ_DECIMAL_DIGITS &&
              is_held(row, row->places);
  /* significant digits, written zeros at the end included, are counted */
  if (status == UQ_DECIMAL_OK) {
    CHECK(held);
    CHECK(d->scale == row->places);
    check_text(d, row, row->places);
  } else {
    CHECK(status == UQ_DECIMAL_RANGE);
    CHECK(!held || memchr(text, 'e', len) || memchr(text, 'E', len));
  }
  return status == UQ_DECIMAL_OK;
}

/* The double nearest to it: what its 17 digits say is no further away than what
** the doubles beside it say, and the C library agrees. */
static void check_double(const char *text, size_t len) {
  char *copy = fuzz_copy(text, len, true);
  double value = 0, expected = strtod(copy, NULL);
  bool zero = strpbrk(copy, "eE") == NULL && strpbrk(copy, "123456789") == NULL;
  switch (uq_number_double(text, len, &value)) {
  case UQ_NUMBER_OK:
    CHECK(value == expected && !isinf(value));
    CHECK(signbit(value) == signbit(expected));
    break;
  case UQ_NUMBER_RANGE:
    CHECK(isinf(expected) || (expected == 0 && !zero));
    break;
  default:
    CHECK(false);
  }
  free(copy);
}

/* a + b, place by place, and the carries afterwards. */
static void add(const struct row *a, const struct row *b, struct row *sum) {
  memset(sum, 0, sizeof *sum);
  sum->sign = 1;
  sum->places = a->places > b->places ? a->places : b->places;
  for (int i = 0; i < ROW; i++)
    sum->digit[i] = a->sign * a->digit[i] + b->sign * b->digit[i];
  for (int i = ROW - 1; i >= 0;
       i--) { /* the first that is not 0 has the sign */
    if (sum->digit[i] == 0)
      continue;
    sum->sign = sum->digit[i] < 0 ? -1 : 1;
    break;
  }
  for (int i = 0, carry = 0; i < ROW; i++) {
    int digit = sum->sign * sum->digit[i] + carry;
    carry = digit < 0 ? -1 : digit > 9;
    sum->digit[i] = digit - 10 * carry;
  }
}

static int sign_of_difference(const struct row *a, const struct row *b) {
  struct row minus = *b, difference;
  minus.sign = -b->sign;
  add(a, &minus, &difference);
  return is_within(&difference, 0, 0) ? 0 : difference.sign;
}

static void check_rescale(const struct uq_decimal *d, const struct row *row,
                          int places) {
  struct uq_decimal scaled;
  long long units;
  enum uq_decimal_status status = uq_decimal_rescale(d, places, &scaled);
  bool exact = is_within(row, -places, UNITS);
  if (status == UQ_DECIMAL_OK) {
    CHECK(is_held(row, places));
    check_text(&scaled, row, places);
  } else if (status == UQ_DECIMAL_INEXACT) {
    CHECK(!exact);
  } else {
    CHECK(status == UQ_DECIMAL_RANGE && !is_held(row, places));
  }
  if (status != UQ_DECIMAL_OK) {
    CHECK(uq_decimal_minor(d, places, &units) == status);
    return;
  }
  __int128 whole = 0; /* 38 digits fit */
  for (int i = UQ_DECIMAL_DIGITS; i >= -places; i--)
    whole = whole * 10 + row->sign * row->digit[UNITS + i];
  if (uq_decimal_minor(d, places, &units) == UQ_DECIMAL_OK)
    CHECK((__int128)units == whole);
  else
    CHECK(whole < LLONG_MIN || whole > LLONG_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
  const uint8_t *comma = len > 0 ? memchr(bytes, ',', len) : NULL;
  size_t first = comma != NULL ? (size_t)(comma - bytes) : len;
  size_t second = comma != NULL ? len - first - 1 : 0;
  char *text = fuzz_copy(bytes, first, false);
  char *other = fuzz_copy(bytes + len - second, second, false);
  struct row a, b, expected;
  struct uq_decimal x, y, sum;
  bool both = read(text, first, &a, &x);
  if (uq_number_valid(text, first))
    check_double(text, first);
  if (both) {
    check_rescale(&x, &a, a.places);
    check_rescale(&x, &a, (int)(len % (UQ_DECIMAL_DIGITS + 1)));
  }
  if (read(other, second, &b, &y) && both) {
    CHECK(uq_decimal_compare(&x, &y) == sign_of_difference(&a, &b));
    add(&a, &b, &expected);
    if (uq_decimal_add(&x, &y, &sum) == UQ_DECIMAL_OK) {
      CHECK(sum.scale == expected.places);
      check_text(&sum, &expected, expected.places);
    } else {
      CHECK(!is_held(&expected, expected.places));
    }
    uq_decimal_negate(&x);
    a.sign = -a.sign;
    check_text(&x, &a, a.places);
  }
  free(text);
  free(other);
  return 0;
}
