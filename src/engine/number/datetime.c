/*
** datetime.c - see datetime.h.
** SPDX-License-Identifier: MIT
*/
#include "engine/number/datetime.h"

bool uq_date_days(int year, int month, int day, int64_t *days) {
  static const int before[] = {0,   31,  59,  90,  120, 151, 181,
                               212, 243, 273, 304, 334, 365};
  bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  if (month < 1 || month > 12 || day < 1 ||
      day > before[month] - before[month - 1] + (month == 2 && leap))
    return false;
  int past = year - 1; /* whole years since the first of January of year 1 */
  *days = 365LL * past + past / 4 - past / 100 + past / 400 +
          before[month - 1] + (month > 2 && leap) + day - 1 - 719162;
  return true;
}

/* Is this the form of what p begins with? 0 stands for a digit, T for what may
** part a date from a time. The bytes must be there. */
static bool is_form(const char *p, const char *form) {
  for (; *form != '\0'; form++, p++) {
    bool good = *form == '0'   ? *p >= '0' && *p <= '9'
                : *form == 'T' ? *p == 'T' || *p == 't' || *p == ' '
                               : *p == *form;
    if (!good)
      return false;
  }
  return true;
}

/* The number that the n digits at p are. */
static int number(const char *p, int n) {
  int value = 0;
  for (int i = 0; i < n; i++)
    value = value * 10 + (p[i] - '0');
  return value;
}

bool uq_zone_parse(const char *text, size_t len, int *zone) {
  if (len == 1 && (*text == 'Z' || *text == 'z')) {
    *zone = 0;
    return true;
  }
  if (len != 6 || (*text != '+' && *text != '-') || !is_form(text + 1, "00:00"))
    return false;
  int hours = number(text + 1, 2), minutes = number(text + 4, 2);
  if (hours > 23 || minutes > 59)
    return false;
  int seconds = hours * 3600 + minutes * 60;
  *zone = *text == '-' ? -seconds : seconds;
  return true;
}

/* Reads the fraction of a second that may be at p. Returns what follows it;
** NULL: it is none. */
static const char *read_fraction(const char *p, const char *end,
                                 int32_t *nanoseconds) {
  *nanoseconds = 0;
  if (p == end || *p != '.')
    return p;
  int32_t unit = 1000000000;
  for (p++; p < end && *p >= '0' && *p <= '9'; p++) {
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
  static const char form[] = "0000-00-00T00:00:00";
  const char *end = text + len;
  int32_t nanoseconds;
  int64_t days;
  int offset = 0;
  if (len == 0)
    return UQ_DATETIME_NONE;
  if (len < sizeof form - 1 || !is_form(text, form))
    return UQ_DATETIME_BAD;
  const char *p = read_fraction(text + sizeof form - 1, end, &nanoseconds);
  if (p == NULL || (p != end && !uq_zone_parse(p, (size_t)(end - p), &offset)))
    return UQ_DATETIME_BAD;
  int year = number(text, 4);
  if (year < 2)
    return UQ_DATETIME_NONE;
  int hour = number(text + 11, 2), minute = number(text + 14, 2);
  int second = number(text + 17, 2);
  if (!uq_date_days(year, number(text + 5, 2), number(text + 8, 2), &days) ||
      hour > 23 || minute > 59 || second > 59)
    return UQ_DATETIME_BAD;
  if (p == end && zone == NULL)
    return UQ_DATETIME_ZONE;
  if (p == end)
    offset = *zone;
  int in_day = (hour * 60 + minute) * 60 + second;
  m->seconds = days * 86400 + in_day - offset;
  m->nanoseconds = nanoseconds;
  return UQ_DATETIME_OK;
}
