/*
** datetime.c - see datetime.h.
** SPDX-License-Identifier: MIT
*/
#include "engine/number/datetime.h"

#include <string.h>

#include "engine/base/ascii.h"

#define DAYS_TO_1970 719162 /* from 0001-01-01 */

bool uq_date_days(int year, int month, int day, int64_t *days) {
  static const int before[] = {0,   31,  59,  90,  120, 151, 181,
                               212, 243, 273, 304, 334, 365};
  bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  if (month < 1 || month > 12 || day < 1 ||
      day > before[month] - before[month - 1] + (month == 2 && leap))
    return false;
  int past = year - 1; /* whole years since 0001-01-01 */
  *days = 365LL * past + past / 4 - past / 100 + past / 400 +
          before[month - 1] + (month > 2 && leap) + day - 1 - DAYS_TO_1970;
  return true;
}

/* True if the byte fits one of a form: 0 is any digit, a any letter, _ what may
** stand between a date and a time; all others are themselves. */
static bool fits(char c, char form) {
  if (form == '0')
    return uq_is_digit(c);
  if (form == 'a')
    return uq_lower(c) >= 'a' && uq_lower(c) <= 'z';
  if (form == '_')
    return c == 'T' || c == 't' || c == ' ';
  return c == form;
}

/* True if the text begins with this form. */
static bool has_form(const char *text, size_t len, const char *form) {
  const char *end = text + len;
  for (; *form != '\0'; form++, text++) {
    if (text == end || !fits(*text, *form))
      return false;
  }
  return true;
}

/* The value of the n digits at p. */
static int read_digits(const char *p, int n) {
  int value = 0;
  for (int i = 0; i < n; i++)
    value = value * 10 + (p[i] - '0');
  return value;
}

/* The seconds of a day at "17:17:32"; -1: no such time. */
static int read_clock(const char *p, int last_second) {
  int hour = read_digits(p, 2), minute = read_digits(p + 3, 2);
  int second = read_digits(p + 6, 2);
  if (hour > 23 || minute > 59 || second > last_second)
    return -1;
  return (hour * 60 + minute) * 60 + second;
}

bool uq_zone_parse(const char *text, size_t len, int *zone) {
  if (len == 1 && (*text == 'Z' || *text == 'z')) {
    *zone = 0;
    return true;
  }
  if (len != 6 || (*text != '+' && *text != '-') ||
      !has_form(text + 1, len - 1, "00:00"))
    return false;
  int hours = read_digits(text + 1, 2), minutes = read_digits(text + 4, 2);
  if (hours > 23 || minutes > 59)
    return false;
  int seconds = hours * 3600 + minutes * 60;
  *zone = *text == '-' ? -seconds : seconds;
  return true;
}

/* Reads the fraction of a second, if there is one at p. Returns what follows
** it; NULL: malformed, or more than 9 digits. */
static const char *read_fraction(const char *p, const char *end,
                                 int32_t *nanoseconds) {
  *nanoseconds = 0;
  if (p == end || *p != '.')
    return p;
  int32_t unit = 1000000000;
  for (p++; p < end && uq_is_digit(*p); p++) {
    unit /= 10;
    *nanoseconds += (*p - '0') * unit;
    if (unit == 0)
      return NULL;
  }
  return unit == 1000000000 ? NULL : p;
}

enum uq_datetime_status uq_datetime_parse(const char *text, size_t len,
                                          const int *zone,
                                          struct uq_datetime *m) {
  static const char form[] = "0000-00-00_00:00:00";
  const char *end = text + len;
  int32_t nanoseconds;
  int64_t days;
  int offset = 0;
  if (len == 0)
    return UQ_DATETIME_NONE;
  if (!has_form(text, len, form))
    return UQ_DATETIME_BAD;
  const char *p = read_fraction(text + sizeof form - 1, end, &nanoseconds);
  if (p == NULL || (p != end && !uq_zone_parse(p, (size_t)(end - p), &offset)))
    return UQ_DATETIME_BAD;
  int year = read_digits(text, 4), time = read_clock(text + 11, 59);
  if (year < 2)
    return UQ_DATETIME_NONE;
  if (time < 0 || !uq_date_days(year, read_digits(text + 5, 2),
                                read_digits(text + 8, 2), &days))
    return UQ_DATETIME_BAD;
  if (p == end && zone == NULL)
    return UQ_DATETIME_ZONE;
  m->seconds = days * 86400 + time - (p == end ? *zone : offset);
  m->nanoseconds = nanoseconds;
  return UQ_DATETIME_OK;
}

/* The month of the year, from 1, by its English name; 0: no such name. */
static int read_month(const char *p) {
  static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
  for (int i = 0; i < 12; i++) {
    if (memcmp(names + (ptrdiff_t)3 * i, p, 3) == 0)
      return i + 1;
  }
  return 0;
}

bool uq_http_date_parse(const char *text, size_t len, int64_t *seconds) {
  static const char form[] = "aaa, 00 aaa 0000 00:00:00 GMT";
  int64_t days;
  if (len != sizeof form - 1 || !has_form(text, len, form))
    return false;
  int year = read_digits(text + 12, 4);
  int time = read_clock(text + 17, 60); /* 60: a leap second */
  if (year < 1970 || time < 0 ||
      !uq_date_days(year, read_month(text + 8), read_digits(text + 5, 2),
                    &days))
    return false;
  *seconds = days * 86400 + time;
  return true;
}
