/*
** retry.h - whether and when a failed attempt is made again. A pure function:
** clock, deadline and chance are arguments. Knows no Lua and no curl.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_POLICY_RETRY_H
#define UQ_POLICY_RETRY_H

#include <stdbool.h>

#pragma GCC visibility push(hidden)

/* How one attempt failed. */
struct uq_failure {
  int status;  /* what the answer counts as; 0: none came, or it bore none */
  bool outcome_unknown;   /* no whole answer came: whether the request was carried out
                  is unknown */
  bool never_sent; /* besides: libcurl has not even tried */
  bool processing;    /* the API still works on a request with the same key */
  bool token_refused; /* another token may mend it */
  double retry_after; /* seconds the server asked for; 0: none, or no sane
                         value */
};

struct uq_retry_policy {
  int max_retries;
  double delay;     /* seconds before the first retry; doubles each time */
  double delay_max; /* seconds, the ceiling of the doubling */
};

struct uq_retry {
  bool again;
  double wait;         /* seconds, when again */
  const char *stopped; /* why not again: "not_retryable", "max_retries" or
                          "deadline" */
};

/* May another try of the same request succeed? Asking for a balance changes
** nothing, so every lost answer may be asked for again. */
bool uq_retryable(const struct uq_failure *f);

/* The wait after attempt number `attempt` (from 1) by the schedule alone. */
double uq_retry_wait(const struct uq_retry_policy *policy, int attempt,
                     double chance);

/*
** The verdict after attempt number `attempt` (from 1) failed. now and deadline
** are seconds of one clock; chance is in [0, 1) and spreads the wait over the
** upper half of its step. A wait that would reach the deadline is not begun.
*/
struct uq_retry uq_retry_decide(const struct uq_retry_policy *policy,
                                const struct uq_failure *f, int attempt,
                                double now, double deadline, double chance);

/*
** Reads a Retry-After value (RFC 9110, section 10.2.3): seconds or an HTTP
** date, now_unix being the wall clock. Gives seconds above 0 and up to an
** hour; 0 for anything else (nothing, negative, huge, past, words).
*/
double uq_retry_after(const char *value, double now_unix);

#pragma GCC visibility pop

#endif
