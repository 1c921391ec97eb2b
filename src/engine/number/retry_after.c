/*
** retry_after.c - see retry_after.h.
** SPDX-License-Identifier: MIT
*/
#include "engine/number/retry_after.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "engine/number/datetime.h"

#define RETRY_AFTER_MAX 3600.0 /* seconds; more is taken as an error */

static double limited(double seconds) {
  return seconds > 0 && seconds <= RETRY_AFTER_MAX ? seconds : 0;
}

double uq_retry_after(const char *value, double now_unix) {
  size_t len = strlen(value);
  int64_t date;
  if (len > 0 && strspn(value, "0123456789") == len) {
    double seconds = 0;
    for (const char *p = value; *p != '\0'; p++)
      seconds = seconds * 10 + (*p - '0');
    return limited(seconds);
  }
  if (!uq_http_date_parse(value, len, &date))
    return 0;
  return limited((double)date - now_unix);
}
