/*
** clock.h - the two clocks: one that never steps, for waits and deadlines, and
** the wall's, for what others date. Knows no Lua and no curl.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_BASE_CLOCK_H
#define UQ_BASE_CLOCK_H

#pragma GCC visibility push(hidden)

/* Seconds since some moment; never steps. */
double uq_clock(void);

/* Seconds since 1970, as the wall clock has it. */
double uq_clock_unix(void);

#pragma GCC visibility pop

#endif
