/*
** pace.c - see pace.h. The bucket is kept as the moment when it would be full
** (the generic cell rate algorithm): one number, and turns can be booked ahead.
** SPDX-License-Identifier: MIT
*/
#include "pace.h"

#include <string.h>

#define MINUTE 60.0
#define BURST_SHARE 50   /* of a minute's turns, that many go at once */
#define SLOWDOWN 1.5     /* each refusal stretches the interval by it ... */
#define SLOWDOWN_MAX 8.0 /* ... up to this */
#define RECOVERY 120.0   /* seconds until the stretch is gone */

void uq_pace_init(struct uq_pace *p, double limit) {
  memset(p, 0, sizeof *p);
  p->slowdown = 1;
  if (limit <= 0)
    return;
  double burst = (double)(long)(limit / BURST_SHARE);
  if (burst < 1)
    burst = 1;
  /* a minute may see the burst and, behind its first, the refills */
  p->interval = MINUTE / (limit - burst + 1);
  p->burst = (burst - 1) * p->interval;
}

/* How much longer than usual the interval is at present. */
static double stretch(const struct uq_pace *p, double now) {
  double past = (now - p->refused) / RECOVERY;
  return past < 1 ? p->slowdown - (p->slowdown - 1) * past : 1;
}

double uq_pace_book(struct uq_pace *p, double now) {
  double earliest = now > p->held ? now : p->held;
  if (p->interval == 0)
    return earliest;
  double turn = p->next - p->burst;
  if (turn < earliest)
    turn = earliest;
  p->next = (p->next > turn ? p->next : turn) + p->interval * stretch(p, now);
  return turn;
}

void uq_pace_return(struct uq_pace *p) { p->next -= p->interval; }

void uq_pace_refused(struct uq_pace *p, double now, double pause) {
  if (now >= p->held) { /* the refusals of one burst count once */
    double slower = stretch(p, now) * SLOWDOWN;
    p->slowdown = slower < SLOWDOWN_MAX ? slower : SLOWDOWN_MAX;
    p->refused = now;
  }
  if (now + pause > p->held)
    p->held = now + pause;
  p->next = p->held + p->burst; /* the bucket is empty then */
  p->changes++;
}
