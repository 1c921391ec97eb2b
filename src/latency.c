/*
** latency.c - see latency.h.
** SPDX-License-Identifier: MIT
*/
#include "latency.h"

#define PERIOD 60.0 /* seconds, and ... */
#define ANSWERS 2   /* ... so many of the slowest answers */

/* The length of the current period. */
static double period(const struct uq_latency *l) {
  double slowest = l->slowest > l->before ? l->slowest : l->before;
  return PERIOD + ANSWERS * slowest;
}

void uq_latency_note(struct uq_latency *l, double took, double now) {
  double length = period(l);
  if (now - l->since >= length) {
    l->before = now - l->since < 2 * length ? l->slowest : 0;
    l->slowest = 0;
    l->since = now;
  }
  if (took > l->slowest)
    l->slowest = took;
}

double uq_latency_slowest(const struct uq_latency *l, double now) {
  double age = now - l->since, length = period(l);
  if (age >= 2 * length)
    return 0;
  if (age >= length || l->slowest > l->before)
    return l->slowest;
  return l->before;
}
