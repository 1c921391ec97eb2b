/*
** latency.c - see latency.h.
** SPDX-License-Identifier: MIT
*/
#include "engine/http/latency.h"

#include <math.h>

#define PERIOD 60.0 /* seconds, plus ... */
#define SLOWEST 2   /* ... so many times the slowest response */

/* The weight of the last response, as of TCP's round trips: RFC 6298, 2. */
#define MEAN 0.125
#define DEVIATION 0.25

/* `least` is the mean less WIDTH deviations, or less SHARE of the mean or
** MARGIN seconds if that is more. A response's time is measured when the client
** is stepped, which may be when `least` is over: without SHARE the mean would
** never get below it again. */
#define WIDTH 2
#define SHARE 0.0625
#define MARGIN 0.001

/* Of the current one, in seconds. */
static double period_length(const struct uq_latency *l) {
  double slowest = l->slowest > l->before ? l->slowest : l->before;
  return PERIOD + SLOWEST * slowest;
}

void uq_latency_note(struct uq_latency *l, double took, double now) {
  double length = period_length(l);
  if (now - l->since >= length) {
    l->before = now - l->since < 2 * length ? l->slowest : 0;
    l->slowest = 0;
    l->since = now;
  }
  if (took > l->slowest)
    l->slowest = took;
}

double uq_latency_slowest(const struct uq_latency *l, double now) {
  double age = now - l->since, length = period_length(l);
  if (age >= 2 * length)
    return 0;
  if (age >= length || l->slowest > l->before)
    return l->slowest;
  return l->before;
}

void uq_latency_learn(struct uq_latency *l, double took) {
  if (l->mean == 0) {
    l->mean = took;
    l->deviation = took / 2;
  } else {
    l->deviation += DEVIATION * (fabs(took - l->mean) - l->deviation);
    l->mean += MEAN * (took - l->mean);
  }
  double margin = fmax(SHARE * l->mean, MARGIN);
  l->least = fmax(l->mean - fmax(WIDTH * l->deviation, margin), 0);
}
