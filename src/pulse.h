/*
** pulse.h - when something last came on each connection that is in use. One
** that many requests share may be dead for long before any of them can tell.
** Knows no Lua and no curl.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_PULSE_H
#define UQ_PULSE_H

#pragma GCC visibility push(hidden)

/* All zero: none. */
struct uq_pulse {
  double *heard; /* by descriptor, on uq_clock; 0: it is not in use */
  int room;
};

void uq_pulse_free(struct uq_pulse *p);

/* A connection is in use from now on, unless it was already. Without the memory
** to watch it, it is not watched. */
void uq_pulse_begin(struct uq_pulse *p, int fd, double now);

/* Something has come on it. */
void uq_pulse_beat(struct uq_pulse *p, int fd, double now);

/* It is not in use any more, or closed. */
void uq_pulse_end(struct uq_pulse *p, int fd);

/* Shuts those down on which nothing has come for so many seconds. */
void uq_pulse_drop(struct uq_pulse *p, double now, double silence);

#pragma GCC visibility pop

#endif
