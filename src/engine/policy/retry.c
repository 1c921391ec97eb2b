/*
** retry.c - see retry.h.
** SPDX-License-Identifier: MIT
*/
#include "engine/policy/retry.h"

#include <stddef.h>

bool uq_retryable(const struct uq_failure *f) {
  return f->outcome_unknown || f->processing || f->status == 408 ||
         f->status == 429 || (f->status >= 500 && f->status < 600);
}

/* delay * 2^(attempt - 1), at most delay_max, less a random part of up to half
** (equal jitter). */
double uq_retry_wait(const struct uq_retry_policy *policy, int attempt,
                     double chance) {
  double wait = policy->delay;
  for (int i = 1; i < attempt && wait < policy->delay_max; i++)
    wait *= 2;
  if (wait > policy->delay_max)
    wait = policy->delay_max;
  return wait * (0.5 + 0.5 * chance);
}

struct uq_retry uq_retry_decide(const struct uq_retry_policy *policy,
                                const struct uq_failure *f, int attempt,
                                double now, double deadline, double chance) {
  struct uq_retry verdict = {false, 0, NULL};
  if (!uq_retryable(f)) {
    verdict.stopped = "not_retryable";
    return verdict;
  }
  if (attempt > policy->max_retries) {
    verdict.stopped = "max_retries";
    return verdict;
  }
  double wait = uq_retry_wait(policy, attempt, chance);
  if (f->retry_after > wait)
    wait = f->retry_after;
  if (now + wait >= deadline) {
    verdict.stopped = "deadline";
    return verdict;
  }
  verdict.again = true;
  verdict.wait = wait;
  return verdict;
}
