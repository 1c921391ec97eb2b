/*
** clock.h - the two clocks: the monotonic one for waits and deadlines, the
** wall clock for dates of others. Knows no Lua and no curl.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_BASE_CLOCK_H
#define UQ_BASE_CLOCK_H

#pragma GCC visibility push(hidden)

/* Monotonic seconds, since an arbitrary time. */
double uq_clock(void);

/* Seconds since 1970 by the wall clock, which may be set. */
double uq_clock_unix(void);

/* Whole milliseconds, rounded up. */
long uq_milliseconds(double seconds);

#pragma GCC visibility pop

#endif
