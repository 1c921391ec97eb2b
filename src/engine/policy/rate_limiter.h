/*
** rate_limiter.h - how fast a client may ask: a bucket of turns that refills
*steadily,
** and what the server's refusals for haste teach. Pure: the clock is an
** argument. Knows no Lua and no curl.
**
** In no minute are more than `limit` turns taken: the bucket holds a fiftieth
** of them, and what is left of the minute's refills it. After a refusal nobody
** goes for a pause, then one goes ahead alone, and when the server takes that,
** the others follow more slowly than before; the old pace comes back within
** minutes.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_POLICY_RATE_LIMITER_H
#define UQ_POLICY_RATE_LIMITER_H

#include <stdbool.h>

#pragma GCC visibility push(hidden)

struct uq_rate_limiter {
  double interval; /* seconds between turns, by the limit; 0: none */
  double burst;    /* seconds that turns may be ahead of it */
  double next;     /* when the next turn is due, were there no burst */
  double calling;  /* the same for the next in the line */
  double held;     /* nobody goes before */
  double learned;  /* seconds between turns that the server bears; it fades */
  double refused;  /* when it last refused; 0: never */
  double trouble;  /* when it began to do nothing else */
  int refusals;    /* in a row */
  double pause;    /* after the last */
  double minute;   /* turns are counted from it on ... */
  double count;    /* ... so many, ... */
  double before;   /* ... and in the minute before */
};

/* limit: turns a minute; 0: no limit. */
void uq_rate_limiter_init(struct uq_rate_limiter *p, double limit);

/* The earliest moment for a turn; it may be past. */
double uq_rate_limiter_next(const struct uq_rate_limiter *p);

/* Takes a turn, if there is one now. */
bool uq_rate_limiter_take(struct uq_rate_limiter *p, double now);

/* Charges turns that were used without uq_rate_limiter_take: later ones are
 * delayed. */
void uq_rate_limiter_charge(struct uq_rate_limiter *p, double now, int turns);

/* May the first of a line go and take a turn? Each is called once, whether he
** comes or not. */
bool uq_rate_limiter_admit(struct uq_rate_limiter *p, double now);

/* When the one behind so many others in the line will be called. */
double uq_rate_limiter_due(const struct uq_rate_limiter *p, double now,
                           double others);

/* The server has refused what was sent at `sent`. How many of its refusals
** there were in a row; those that were sent before one of them count with it.
*/
int uq_rate_limiter_refused(struct uq_rate_limiter *p, double now, double sent);

/* Nobody goes for `pause` seconds. */
void uq_rate_limiter_pause(struct uq_rate_limiter *p, double now, double pause);

/* The same, since the server has refused what another process has sent. */
void uq_rate_limiter_pause_shared(struct uq_rate_limiter *p, double now,
                                  double pause);

/* The server has not refused what was sent at `sent`. */
void uq_rate_limiter_accepted(struct uq_rate_limiter *p, double now,
                              double sent);

/* Is it worth while to wait for a server that refuses? Not when it has done
** nothing else for two minutes. */
bool uq_rate_limiter_worth_waiting(const struct uq_rate_limiter *p, double now);

#pragma GCC visibility pop

#endif
