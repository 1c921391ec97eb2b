/*
** rate_limiter.h - a token-bucket rate limiter (GCRA) with adaptive slow-down
** after HTTP 429. Pure: the clock is an argument. Knows no Lua and no curl.
**
** A slot allows one request. No minute has more than `limit` slots: the bucket
** holds a fiftieth of them, and the rest of a minute's refills it. After a 429
** all requests pause, then one probe request is sent, and if the server
** accepts it, the others follow more slowly than before; the old rate returns
** within five minutes.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_POLICY_RATE_LIMITER_H
#define UQ_POLICY_RATE_LIMITER_H

#include <stdbool.h>

#pragma GCC visibility push(hidden)

struct uq_rate_limiter {
  double interval;     /* seconds between slots, by the limit; 0: no limit */
  double burst;        /* seconds that slots may be ahead of it */
  double next;         /* when the next slot is due, without the burst */
  double next_queued;  /* the same for the next waiter of the queue */
  double paused_until; /* no slots before */
  double backoff_interval; /* seconds between slots after a 429; it fades */
  double refused;          /* time of the last 429; 0: never */
  double failing_since;    /* time of the first 429 in a row */
  int refusals;            /* 429s in a row */
  double pause;            /* seconds, after the last of them */
  double minute;           /* begin of the minute that is counted */
  double count;            /* slots taken in it */
  double before;           /* slots taken in the minute before */
};

/* limit: slots a minute; 0: no limit. */
void uq_rate_limiter_init(struct uq_rate_limiter *p, double limit);

/* The earliest time of the next slot; it may be past. */
double uq_rate_limiter_next(const struct uq_rate_limiter *p);

/* Takes a slot. False: none is available now. */
bool uq_rate_limiter_take(struct uq_rate_limiter *p, double now);

/* Charges slots that were used without uq_rate_limiter_take: later ones are
** delayed. */
void uq_rate_limiter_charge(struct uq_rate_limiter *p, double now, int slots);

/* True if the first waiter of a queue can take a slot: admits it. Each waiter
** is admitted once, even if it does not use its slot. */
bool uq_rate_limiter_admit(struct uq_rate_limiter *p, double now);

/* When the waiter behind so many others in the queue will be admitted. */
double uq_rate_limiter_due(const struct uq_rate_limiter *p, double now,
                           double others);

/* A request of the time `sent` was answered 429. Returns the number of 429s in
** a row; requests that were sent before the last one count with it. */
int uq_rate_limiter_refused(struct uq_rate_limiter *p, double now, double sent);

/* Gives no slots for `pause` seconds. */
void uq_rate_limiter_pause(struct uq_rate_limiter *p, double now, double pause);

/* The same for a 429 that another process received. */
void uq_rate_limiter_pause_shared(struct uq_rate_limiter *p, double now,
                                  double pause);

/* A request of the time `sent` got a response other than 429. */
void uq_rate_limiter_accepted(struct uq_rate_limiter *p, double now,
                              double sent);

/* False after two minutes of nothing but 429s. */
bool uq_rate_limiter_worth_waiting(const struct uq_rate_limiter *p, double now);

#pragma GCC visibility pop

#endif
