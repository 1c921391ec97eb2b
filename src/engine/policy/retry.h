/*
** retry.h - whether and when a failed attempt is retried. Pure functions:
** clock, deadline and random number are arguments. Knows no Lua and no curl.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_POLICY_RETRY_H
#define UQ_POLICY_RETRY_H

#include <stdbool.h>

#pragma GCC visibility push(hidden)

/* How one attempt failed. */
struct uq_failure {
  int status;           /* HTTP status by which to decide; 0: none */
  bool outcome_unknown; /* no complete response: the request may be executed */
  bool never_sent;      /* besides: libcurl did not begin to send it */
  bool processing;      /* the API still executes a request with this key */
  bool token_refused;   /* another token may be accepted */
  double retry_after;   /* seconds by uq_retry_after; 0: none */
};

struct uq_retry_policy {
  int max_retries;
  double delay;     /* seconds before the first retry; doubles each time */
  double delay_max; /* seconds, its maximum */
};

struct uq_retry {
  bool again;
  double wait;         /* seconds, when again */
  const char *stopped; /* why not again: "not_retryable", "max_retries" or
                          "deadline" */
};

/* True if a retry of the same request may succeed. Reading changes nothing, so
** a request whose outcome is unknown may always be sent again. */
bool uq_retryable(const struct uq_failure *f);

/* The back-off in seconds after attempt number `attempt` (from 1), without
** Retry-After. */
double uq_retry_wait(const struct uq_retry_policy *policy, int attempt,
                     double chance);

/*
** Decides after attempt number `attempt` (from 1) failed. now and deadline are
** seconds of one clock; chance is a random number in [0, 1). Retry-After takes
** precedence over a shorter back-off. Does not wait until the deadline or
** later.
*/
struct uq_retry uq_retry_decide(const struct uq_retry_policy *policy,
                                const struct uq_failure *f, int attempt,
                                double now, double deadline, double chance);

#pragma GCC visibility pop

#endif
