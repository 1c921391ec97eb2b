/*
** rate_limiter.c - see rate_limiter.h. The bucket is kept as the moment when it
*would be full
** (the generic cell rate algorithm).
** SPDX-License-Identifier: MIT
*/
#include "engine/policy/rate_limiter.h"

#include <string.h>

#define MINUTE 60.0
#define MARGIN 1.0     /* seconds: not all requests travel equally fast */
#define BURST_SHARE 50 /* of a minute's turns, that many go at once */
#define EPSILON 1e-6   /* a part of a turn that rounding may cost */
#define SLOWER 1.25    /* than what the server has just refused */
#define FEW 10         /* turns within a minute */
#define EASY 0.25      /* seconds between turns: no lesson is harder at first */
#define HARD 2.0       /* the same, whatever comes: then pauses must do */
#define RECOVERY 300.0 /* seconds until it is forgotten */
#define PROBE_MAX 5.0  /* seconds to wait for what becomes of the first one */
#define PATIENCE 120.0 /* seconds of nothing but refusals */

void uq_rate_limiter_init(struct uq_rate_limiter *p, double limit) {
  memset(p, 0, sizeof *p);
  if (limit <= 0)
    return;
  double burst = (double)(long)(limit / BURST_SHARE);
  if (burst < 1)
    burst = 1;
  /* a minute may see the burst and, behind its first, the refills */
  p->interval = (MINUTE + MARGIN) / (limit - burst + 1);
  p->burst = (burst - 1 + EPSILON) * p->interval;
}

/* Seconds between turns at present. */
static double interval(const struct uq_rate_limiter *p, double now) {
  double left = 1 - (now - p->refused) / RECOVERY;
  double learned = left > 0 ? p->learned * left : 0;
  return learned > p->interval ? learned : p->interval;
}

static double later(double a, double b) { return a > b ? a : b; }

double uq_rate_limiter_next(const struct uq_rate_limiter *p) {
  return later(p->held, p->next - p->burst);
}

/* Begins a new minute of counting if the last one is over. */
static void turn_page(struct uq_rate_limiter *p, double now) {
  double past = now - p->minute;
  if (past < MINUTE)
    return;
  p->before = past < 2 * MINUTE ? p->count : 0;
  p->count = 0;
  p->minute = past < 2 * MINUTE ? p->minute + MINUTE : now;
}

void uq_rate_limiter_charge(struct uq_rate_limiter *p, double now, int turns) {
  double time = turns * interval(p, now);
  p->next = later(p->next, now) + time;
  p->calling = later(later(p->calling, now) + time, p->next);
  turn_page(p, now);
  p->count += turns;
}

bool uq_rate_limiter_take(struct uq_rate_limiter *p, double now) {
  if (uq_rate_limiter_next(p) > now)
    return false;
  p->next = later(p->next, now) + interval(p, now);
  p->calling = later(p->calling, p->next);
  turn_page(p, now);
  p->count++;
  if (p->refusals > 0) /* the others wait for what becomes of this one */
    p->held = now + (p->pause < PROBE_MAX ? p->pause : PROBE_MAX);
  return true;
}

bool uq_rate_limiter_admit(struct uq_rate_limiter *p, double now) {
  if (uq_rate_limiter_due(p, now, 0) > now)
    return false;
  p->calling = later(p->calling, now) + interval(p, now);
  return true;
}

double uq_rate_limiter_due(const struct uq_rate_limiter *p, double now,
                           double others) {
  return later(p->held, p->calling - p->burst) + others * interval(p, now);
}

/* Seconds between turns, by what the server has taken within a minute. Who has
** hardly asked has nothing to slow down. */
static double seen(struct uq_rate_limiter *p, double now) {
  turn_page(p, now);
  double taken = p->count + p->before * (1 - (now - p->minute) / MINUTE);
  if (taken < FEW)
    return 0;
  return taken > MINUTE / EASY ? MINUTE / taken : EASY;
}

/* There is one more refusal. */
static void learn(struct uq_rate_limiter *p, double now) {
  if (p->refusals++ == 0) {
    p->trouble = now;
    double slower = SLOWER * later(interval(p, now), seen(p, now));
    p->learned = slower < HARD ? slower : HARD;
  }
  p->refused = now;
}

int uq_rate_limiter_refused(struct uq_rate_limiter *p, double now,
                            double sent) {
  if (p->count > 0)
    p->count--;
  if (p->refused == 0 || sent > p->refused)
    learn(p, now);
  return p->refusals;
}

void uq_rate_limiter_pause(struct uq_rate_limiter *p, double now,
                           double pause) {
  p->pause = pause;
  p->held = later(p->held, now + pause);
  p->next = later(p->next, p->held + p->burst); /* the bucket is empty then */
  p->calling = later(p->calling, p->next);
}

void uq_rate_limiter_pause_shared(struct uq_rate_limiter *p, double now,
                                  double pause) {
  double before = p->refusals > 0 ? p->pause : 0;
  if (p->refusals == 0)
    learn(p, now);
  uq_rate_limiter_pause(p, now, pause);
  p->pause = later(before, pause); /* the rest of one may be told again */
}

void uq_rate_limiter_accepted(struct uq_rate_limiter *p, double now,
                              double sent) {
  if (p->refusals == 0 || sent <= p->refused)
    return;
  p->refusals = 0;
  p->held = now;
}

bool uq_rate_limiter_worth_waiting(const struct uq_rate_limiter *p,
                                   double now) {
  return now - p->trouble < PATIENCE;
}
