/*
** latency.c - see latency.h.
** SPDX-License-Identifier: MIT
*/
#include "engine/http/latency.h"

#include <math.h>

#define PERIOD 60.0 /* seconds, and ... */
#define ANSWERS 2   /* ... so many of the slowest answers */

/* The estimators of TCP (RFC 6298): the weight of the last answer. */
#define MEAN 0.125
#define DEVIATION 0.25

/* No answer is expected to take less than the mean without so many deviations,
** and not without these seconds and this part of it. Answers are measured when
** somebody looks: without the part the mean would follow the looks. */
#define WIDTH 2
#define SHARE 0.0625
#define MARGIN 0.001

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
