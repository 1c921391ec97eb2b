/*
** datetime.h - dates and times: those of the API (RFC 3339) and of HTTP. Its
** own arithmetic on the Gregorian calendar depends on no locale, no TZ and no
** range of time_t. Knows no Lua and no curl.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_NUMBER_DATETIME_H
#define UQ_NUMBER_DATETIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

/* The days from 1970-01-01 to a date of the years from 1 on. False: no such
** date. */
bool uq_date_days(int year, int month, int day, int64_t *days);

struct uq_datetime {
  int64_t seconds;     /* Unix time, rounded down */
  int32_t nanoseconds; /* after them, below a second */
};

enum uq_datetime_status {
  UQ_DATETIME_OK,
  UQ_DATETIME_NONE, /* empty, or a date of the years 0 and 1: Go's zero time */
  UQ_DATETIME_ZONE, /* it has no zone, and none was given */
  UQ_DATETIME_BAD
};

/* Reads "2024-03-21T17:17:32+08:00": with T, t or a space, up to 9 digits of a
** fraction, and Z, z or an offset as its zone. `zone`, in seconds east of UTC,
** applies to a text without one; NULL: none does. Sets m only if OK. */
enum uq_datetime_status uq_datetime_parse(const char *text, size_t len,
                                          const int *zone,
                                          struct uq_datetime *m);

/* True if the whole text is a zone: sets the seconds east of UTC. */
bool uq_zone_parse(const char *text, size_t len, int *zone);

/* Reads "Sun, 06 Nov 1994 08:49:37 GMT" (IMF-fixdate, RFC 9110, section 5.6.7)
** as Unix time. False: not of that form, which is the only one that servers
** send today, or before 1970. The name of the day is ignored. */
bool uq_http_date_parse(const char *text, size_t len, int64_t *seconds);

#pragma GCC visibility pop

#endif
