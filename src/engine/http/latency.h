/*
** latency.h - how long the slowest of the recent answers took: the patience
** that a server deserves; and how long nearly all of them took at least. Time
** is an argument. Knows no Lua and no curl.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_HTTP_LATENCY_H
#define UQ_HTTP_LATENCY_H

#pragma GCC visibility push(hidden)

/* As many as there are endpoints. */
#define UQ_LATENCIES 5

/* All zero: no answer is known. Seconds. */
struct uq_latency {
  double slowest; /* since `since`, on uq_clock ... */
  double before;  /* ... and in the period before that */
  double since;
  double mean;      /* of recent answers */
  double deviation; /* the same of their distances from it */
  double least;     /* hardly any answer will take less; 0: not known */
};

/* An answer has come after `took` seconds, or none came for so long. */
void uq_latency_note(struct uq_latency *l, double took, double now);

/* The slowest answer of the last period and of this one, which lasts a minute,
** or longer where answers do. */
double uq_latency_slowest(const struct uq_latency *l, double now);

/* An answer, if only a refusal, has come after `took` seconds. */
void uq_latency_learn(struct uq_latency *l, double took);

#pragma GCC visibility pop

#endif
