/*
** datetime.h - times as the API writes them. Arithmetic of our own on the
** Gregorian calendar: no locale, no TZ, no range of time_t. Knows no Lua and no
** curl.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_NUMBER_DATETIME_H
#define UQ_NUMBER_DATETIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

/* The days from 1970-01-01 to a date of the years from 1 on. False: there is no
** such day. */
bool uq_date_days(int year, int month, int day, int64_t *days);

struct uq_datetime {
  int64_t seconds;     /* Unix time, rounded down */
  int32_t nanoseconds; /* and these behind it */
};

enum uq_datetime_status {
  UQ_DATETIME_OK,
  UQ_DATETIME_NONE, /* empty, or a date of the years 0 and 1: Go's zero time */
  UQ_DATETIME_ZONE, /* it does not say which zone it is of */
  UQ_DATETIME_BAD
};

/* Reads "2024-03-21T17:17:32+08:00": with T, t or a blank, up to 9 digits of a
** fraction, and Z, z or an offset as its zone; zone (seconds east of UTC, NULL:
** none) stands in for one that is missing. Sets m only if OK. */
enum uq_datetime_status uq_datetime_parse(const char *text, size_t len,
                                          const int *zone,
                                          struct uq_datetime *m);

/* Is the whole text a zone? If so, sets the seconds east of UTC. */
bool uq_zone_parse(const char *text, size_t len, int *zone);

#pragma GCC visibility pop

#endif
