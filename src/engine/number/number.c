/*
** number.c - see number.h.
** SPDX-License-Identifier: MIT
*/
#define _GNU_SOURCE /* newlocale, uselocale */
#include "engine/number/number.h"

#include <errno.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__APPLE__)
#include <xlocale.h>
#endif

#include "engine/base/ascii.h"

static const char *skip_digits(const char *p, const char *end) {
  while (p < end && uq_is_digit(*p))
    p++;
  return p;
}

/* Skips the exponent at p, if there is a whole one. */
static const char *skip_exponent(const char *p, const char *end) {
  if (p == end || (*p != 'e' && *p != 'E'))
    return p;
  const char *digits = p + 1;
  if (digits < end && (*digits == '+' || *digits == '-'))
    digits++;
  return digits < end && uq_is_digit(*digits) ? skip_digits(digits, end) : p;
}

size_t uq_number_scan(const char *text, const char *end) {
  const char *p = text;
  if (p < end && *p == '-')
    p++;
  if (p == end || !uq_is_digit(*p))
    return 0;
  p = *p == '0' ? p + 1 : skip_digits(p, end);
  if (end - p >= 2 && *p == '.' && uq_is_digit(p[1]))
    p = skip_digits(p + 1, end);
  return (size_t)(skip_exponent(p, end) - text);
}

bool uq_number_valid(const char *text, size_t len) {
  return len > 0 && uq_number_scan(text, text + len) == len;
}

/*
** Clinger's fast path, exact by construction: a mantissa up to 2^53 and a
** power of ten up to 10^22 are both doubles, so their quotient is rounded
** once. False: the number is not of that form.
*/
static bool fast_double(const char *p, const char *end, double *value) {
  static const double power[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                 1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
  uint64_t mantissa = 0;
  int digits = 0, fraction = 0;
  bool negative = *p == '-', point = false;
  if (FLT_EVAL_METHOD != 0) /* wider registers would round twice */
    return false;
  for (p += negative; p < end; p++) {
    if (*p == '.') {
      point = true;
      continue;
    }
    if (!uq_is_digit(*p) || ++digits > 18)
      return false;
    mantissa = mantissa * 10 + (uint64_t)(*p - '0');
    fraction += point;
  }
  if (mantissa > (UINT64_C(1) << 53))
    return false;
  double d = (double)mantissa / power[fraction];
  *value = negative ? -d : d;
  return true;
}

/* strtod under the C locale, which only this thread has, until it returns. */
static enum uq_number_status c_locale_strtod(const char *text, double *value) {
  locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
  if (c == (locale_t)0)
    return UQ_NUMBER_NOMEM;
  locale_t before = uselocale(c);
  *value = strtod(text, NULL);
  uselocale(before);
  freelocale(c);
  return UQ_NUMBER_OK;
}

static bool has_nonzero_digit(const char *p, const char *end) {
  for (; p < end && *p != 'e' && *p != 'E'; p++) {
    if (*p >= '1' && *p <= '9')
      return true;
  }
  return false;
}

enum uq_number_status uq_number_double(const char *text, size_t len,
                                       double *value) {
  char small[64], *copy = small;
  if (fast_double(text, text + len, value))
    return UQ_NUMBER_OK;
  if (len >= sizeof small && (copy = malloc(len + 1)) == NULL)
    return UQ_NUMBER_NOMEM;
  memcpy(copy, text, len);
  copy[len] = '\0';
  int before = errno;
  enum uq_number_status status = c_locale_strtod(copy, value);
  errno = before;
  if (copy != small)
    free(copy);
  if (status != UQ_NUMBER_OK)
    return status;
  if (isinf(*value) || (*value == 0 && has_nonzero_digit(text, text + len)))
    return UQ_NUMBER_RANGE;
  return UQ_NUMBER_OK;
}

/* Any character of snprintf's output that no C locale number contains belongs
** to the locale's decimal point, which may have several bytes. */
void uq_number_text(double value, int digits, char text[UQ_NUMBER_TEXT]) {
  char *to = text;
  snprintf(text, UQ_NUMBER_TEXT, "%.*g", digits, value);
  for (const char *from = text; *from != '\0'; from++) {
    if (uq_is_digit(*from) || strchr("+-einfa", *from) != NULL)
      *to++ = *from;
    else if (to == text || to[-1] != '.')
      *to++ = '.';
  }
  *to = '\0';
}
