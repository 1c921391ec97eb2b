/*
** latency.h - response times of an endpoint: the slowest of the recent ones,
** for which a request may have to wait, and a lower bound of nearly all of
** them. Time is an argument. Knows no Lua and no curl.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_HTTP_LATENCY_H
#define UQ_HTTP_LATENCY_H

#pragma GCC visibility push(hidden)

/* At least as many as there are endpoints. */
#define UQ_LATENCIES 5

/* All zero: no response is known. Seconds. */
struct uq_latency {
  double slowest; /* since `since`, on uq_clock ... */
  double before;  /* ... and in the period before that */
  double since;
  double mean;      /* of recent responses */
  double deviation; /* the mean of their distances from it */
  double least;     /* hardly any response takes less; 0: not known */
};

/* A response has come after `took` seconds, or none came for so long. */
void uq_latency_note(struct uq_latency *l, double took, double now);

/* The slowest response of this period and the one before. A period is a minute,
** or twice the slowest response longer. */
double uq_latency_slowest(const struct uq_latency *l, double now);

/* A response, a refusal or not, has come after `took` seconds. */
void uq_latency_learn(struct uq_latency *l, double took);

#pragma GCC visibility pop

#endif
