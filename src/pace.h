/*
** pace.h - how fast a client may ask: a token bucket that refills steadily, and
** a pause for everybody after the server's refusal. Pure: the clock is an
** argument. Knows no Lua and no curl.
**
** In no minute are more than `limit` turns given: the bucket holds a fiftieth
** of them, and what is left of the minute's refills it.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_PACE_H
#define UQ_PACE_H

#pragma GCC visibility push(hidden)

struct uq_pace {
  double interval;  /* seconds between turns; 0: no limit */
  double burst;     /* seconds that turns may be ahead of it */
  double next;      /* when the next turn is due, were there no burst */
  double held;      /* nobody goes before */
  double refused;   /* when the server last refused */
  double slowdown;  /* what interval was multiplied by then; 1: never */
  unsigned changes; /* counts the pauses: earlier turns are void */
};

/* limit: turns a minute; 0: no limit. */
void uq_pace_init(struct uq_pace *p, double limit);

/* Books the next turn. Gives the moment for it, which may be now. A turn booked
** before a pause must be booked anew. */
double uq_pace_book(struct uq_pace *p, double now);

/* Gives a turn back that was booked since the last pause and not used. */
void uq_pace_return(struct uq_pace *p);

/* The server refused for haste: nobody goes for `pause` seconds, and then more
** slowly; the old pace comes back within two minutes. */
void uq_pace_refused(struct uq_pace *p, double now, double pause);

#pragma GCC visibility pop

#endif
