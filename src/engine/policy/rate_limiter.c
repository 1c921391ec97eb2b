/*
** rate_limiter.c - see rate_limiter.h. The bucket is represented by the time
** at which it would be full (generic cell rate algorithm, GCRA).
** SPDX-License-Identifier: MIT
*/
#include "engine/policy/rate_limiter.h"

#include <string.h>

#define MINUTE 60.0
#define MARGIN 1.0            /* seconds: requests travel at different speeds */
#define BURST_SHARE 50        /* the burst is the limit divided by it */
#define EPSILON 1e-6          /* slots that rounding may cost */
#define SLOWER 1.25           /* factor to the interval that was refused */
#define MIN_SAMPLES 10        /* slots within a minute, to estimate the rate */
#define INITIAL_INTERVAL 0.25 /* seconds: maximum estimate at the first 429 */
#define MAX_INTERVAL 2.0      /* seconds; beyond it only pauses help */
#define RECOVERY 300.0        /* seconds until the back-off has faded */
#define PROBE_MAX 5.0         /* seconds to wait for the probe's response */
#define PATIENCE 120.0        /* seconds of nothing but 429s */

static double later(double a, double b) { return a > b ? a : b; }

void uq_rate_limiter_init(struct uq_rate_limiter *p, double limit) {
  memset(p, 0, sizeof *p);
  if (limit <= 0)
    return;
  double burst = (double)(long)(limit / BURST_SHARE);
  if (burst < 1)
    burst = 1;
  /* a minute has the burst and, after its first slot, the refills */
  p->interval = (MINUTE + MARGIN) / (limit - burst + 1);
  p->burst = (burst - 1 + EPSILON) * p->interval;
}

/* Seconds between slots at present. */
static double current_interval(const struct uq_rate_limiter *p, double now) {
  double left = 1 - (now - p->refused) / RECOVERY;
  double backoff = left > 0 ? p->backoff_interval * left : 0;
  return later(backoff, p->interval);
}

double uq_rate_limiter_next(const struct uq_rate_limiter *p) {
  return later(p->paused_until, p->next - p->burst);
}

/* Begins a new minute of counting if the last one is over. */
static void roll_minute(struct uq_rate_limiter *p, double now) {
  double past = now - p->minute;
  if (past < MINUTE)
    return;
  p->before = past < 2 * MINUTE ? p->count : 0;
  p->count = 0;
  p->minute = past < 2 * MINUTE ? p->minute + MINUTE : now;
}

void uq_rate_limiter_charge(struct uq_rate_limiter *p, double now, int slots) {
  double time = slots * current_interval(p, now);
  p->next = later(p->next, now) + time;
  p->next_queued = later(later(p->next_queued, now) + time, p->next);
  roll_minute(p, now);
  p->count += slots;
}

bool uq_rate_limiter_take(struct uq_rate_limiter *p, double now) {
  if (uq_rate_limiter_next(p) > now)
    return false;
  p->next = later(p->next, now) + current_interval(p, now);
  p->next_queued = later(p->next_queued, p->next);
  roll_minute(p, now);
  p->count++;
  if (p->refusals > 0) /* this one is the probe: the others wait */
    p->paused_until = now + (p->pause < PROBE_MAX ? p->pause : PROBE_MAX);
  return true;
}

bool uq_rate_limiter_admit(struct uq_rate_limiter *p, double now) {
  if (uq_rate_limiter_due(p, now, 0) > now)
    return false;
  p->next_queued = later(p->next_queued, now) + current_interval(p, now);
  return true;
}

double uq_rate_limiter_due(const struct uq_rate_limiter *p, double now,
                           double others) {
  return later(p->paused_until, p->next_queued - p->burst) +
         others * current_interval(p, now);
}

/* Seconds between slots, estimated from the last minute; 0: few samples. */
static double observed_interval(struct uq_rate_limiter *p, double now) {
  roll_minute(p, now);
  double taken = p->count + p->before * (1 - (now - p->minute) / MINUTE);
  if (taken < MIN_SAMPLES)
    return 0;
  return taken > MINUTE / INITIAL_INTERVAL ? MINUTE / taken : INITIAL_INTERVAL;
}

/* Notes one more 429. */
static void note_refusal(struct uq_rate_limiter *p, double now) {
  if (p->refusals++ == 0) {
    p->failing_since = now;
    double slower =
        SLOWER * later(current_interval(p, now), observed_interval(p, now));
    p->backoff_interval = slower < MAX_INTERVAL ? slower : MAX_INTERVAL;
  }
  p->refused = now;
}

int uq_rate_limiter_refused(struct uq_rate_limiter *p, double now,
                            double sent) {
  if (p->count > 0)
    p->count--;
  if (p->refused == 0 || sent > p->refused)
    note_refusal(p, now);
  return p->refusals;
}

void uq_rate_limiter_pause(struct uq_rate_limiter *p, double now,
                           double pause) {
  p->pause = pause;
  p->paused_until = later(p->paused_until, now + pause);
  p->next =
      later(p->next, p->paused_until + p->burst); /* the bucket is empty then */
  p->next_queued = later(p->next_queued, p->next);
}

void uq_rate_limiter_pause_shared(struct uq_rate_limiter *p, double now,
                                  double pause) {
  double before = p->refusals > 0 ? p->pause : 0;
  if (p->refusals == 0)
    note_refusal(p, now);
  uq_rate_limiter_pause(p, now, pause);
  p->pause = later(before, pause); /* the rest of one may be reported again */
}

void uq_rate_limiter_accepted(struct uq_rate_limiter *p, double now,
                              double sent) {
  if (p->refusals == 0 || sent <= p->refused)
    return;
  p->refusals = 0;
  p->paused_until = now;
}

bool uq_rate_limiter_worth_waiting(const struct uq_rate_limiter *p,
                                   double now) {
  return now - p->failing_since < PATIENCE;
}
