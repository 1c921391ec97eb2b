/*
** clock.c - see clock.h.
** SPDX-License-Identifier: MIT
*/
#define _GNU_SOURCE /* clock_gettime */
#include "engine/base/clock.h"

#include <math.h>
#include <time.h>

static double read_clock(clockid_t id) {
  struct timespec now;
  clock_gettime(id, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

double uq_clock(void) { return read_clock(CLOCK_MONOTONIC); }

double uq_clock_unix(void) { return read_clock(CLOCK_REALTIME); }

long uq_milliseconds(double seconds) { return (long)ceil(seconds * 1000); }
