/*
** time.c - times (src/engine/number/datetime.c) against a calendar that counts
** years and months one by one. The first byte is the zone of texts without one,
** in hours from -12; 255: none.
** SPDX-License-Identifier: MIT
*/
#include "fuzz.h"

#include "engine/number/datetime.h"

/* Takes a number of exactly n digits. */
static bool take(const char **p, const char *end, int n, int *value) {
  *value = 0;
  for (; n > 0; n--, ++*p) {
    if (*p == end || **p < '0' || **p > '9')
      return false;
    *value = 10 * *value + (**p - '0');
  }
  return true;
}

static bool take_one(const char **p, const char *end, const char *of) {
  return *p < end && **p != '\0' && strchr(of, *(*p)++) != NULL;
}

static int days_in(int year, int month) {
  bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  if (month == 2)
    return leap ? 29 : 28;
  return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

/* The days from 0001-01-01 to a date. */
static long long walk(int year, int month, int day) {
  long long days = day - 1;
  for (int y = 1; y < year; y++)
    days += days_in(y, 2) == 29 ? 366 : 365;
  for (int m = 1; m < month; m++)
    days += days_in(year, m);
  return days;
}

static enum uq_datetime_status oracle(const char *p, const char *end,
                                      const int *zone, long long *seconds,
                                      long *nanoseconds) {
  int year, month, day, hour, minute, second, digit, count = 0;
  int hours, minutes, offset = 0;
  bool zoned = false;
  *nanoseconds = 0;
  if (p == end)
    return UQ_DATETIME_NONE;
  if (!take(&p, end, 4, &year) || !take_one(&p, end, "-") ||
      !take(&p, end, 2, &month) || !take_one(&p, end, "-") ||
      !take(&p, end, 2, &day) || !take_one(&p, end, "Tt ") ||
      !take(&p, end, 2, &hour) || !take_one(&p, end, ":") ||
      !take(&p, end, 2, &minute) || !take_one(&p, end, ":") ||
      !take(&p, end, 2, &second))
    return UQ_DATETIME_BAD;
  if (p < end && *p == '.') {
    long unit = 100000000;
    for (p++; p < end && *p >= '0' && *p <= '9'; count++, unit /= 10) {
      take(&p, end, 1, &digit);
      *nanoseconds += digit * unit;
    }
    if (count < 1 || count > 9)
      return UQ_DATETIME_BAD;
  }
  if (p < end) {
    char sign = *p++;
    zoned = true;
    if (sign == '+' || sign == '-') {
      if (!take(&p, end, 2, &hours) || !take_one(&p, end, ":") ||
          !take(&p, end, 2, &minutes) || hours > 23 || minutes > 59)
        return UQ_DATETIME_BAD;
      offset = (sign == '-' ? -60 : 60) * (60 * hours + minutes);
    } else if (sign != 'Z' && sign != 'z') {
      return UQ_DATETIME_BAD;
    }
    if (p != end)
      return UQ_DATETIME_BAD;
  }
  if (year < 2)
    return UQ_DATETIME_NONE;
  if (month < 1 || month > 12 || day < 1 || day > days_in(year, month) ||
      hour > 23 || minute > 59 || second > 59)
    return UQ_DATETIME_BAD;
  if (!zoned && zone == NULL)
    return UQ_DATETIME_ZONE;
  if (!zoned)
    offset = *zone;
  long long days = walk(year, month, day) - walk(1970, 1, 1);
  *seconds = ((days * 24 + hour) * 60 + minute) * 60 + second - offset;
  return UQ_DATETIME_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
  if (len == 0)
    return 0;
  int hours = bytes[0], zone = (hours % 25 - 12) * 3600, alone;
  const int *given = hours == 255 ? NULL : &zone;
  char *text = fuzz_copy(bytes + 1, len - 1, false);
  struct uq_datetime m = {-1, -1};
  long long seconds = -1;
  long nanoseconds;
  enum uq_datetime_status status = uq_datetime_parse(text, len - 1, given, &m);
  CHECK(status == oracle(text, text + len - 1, given, &seconds, &nanoseconds));
  if (status == UQ_DATETIME_OK) {
    CHECK(m.seconds == seconds);
    CHECK(m.nanoseconds == nanoseconds);
  } else {
    CHECK(m.seconds == -1 && m.nanoseconds == -1);
  }
  if (uq_zone_parse(text, len - 1, &alone))
    CHECK(alone % 60 == 0 && alone > -86400 && alone < 86400);
  free(text);
  return 0;
}
