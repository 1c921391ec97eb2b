/*
** retry.c - see retry.h.
** SPDX-License-Identifier: MIT
*/
#include "engine/policy/retry.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "engine/number/datetime.h"

/* A server that asks for more patience than this is not believed. */
#define RETRY_AFTER_MAX 3600.0

bool uq_retryable(const struct uq_failure *f) {
  return f->outcome_unknown || f->processing || f->status == 408 || f->status == 429 ||
         (f->status >= 500 && f->status < 600);
}

/* delay * 2^(attempt - 1), at most delay_max, of which the upper half is left
** to chance. */
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

/* The number that the n digits at p are. */
static int read_digits(const char *p, int n) {
  int value = 0;
  for (int i = 0; i < n; i++)
    value = value * 10 + (p[i] - '0');
  return value;
}

/* Which month of twelve, from 1; 0: none. */
static int read_month(const char *p) {
  static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
  for (int i = 0; i < 12; i++) {
    if (memcmp(names + (ptrdiff_t)3 * i, p, 3) == 0)
      return i + 1;
  }
  return 0;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" -> Unix seconds; -1: not of that form. The
** two obsolete forms of HTTP dates are not sent by anything that lives. The
** name of the day says nothing that the date does not. */
static double http_date(const char *text) {
  static const char form[] = "aaa, 00 aaa 0000 00:00:00 GMT";
  if (strlen(text) != sizeof form - 1)
    return -1;
  for (size_t i = 0; i < sizeof form - 1; i++) {
    bool letter = (text[i] | 0x20) >= 'a' && (text[i] | 0x20) <= 'z';
    bool digit = text[i] >= '0' && text[i] <= '9';
    if (form[i] == 'a' ? !letter : form[i] == '0' ? !digit : text[i] != form[i])
      return -1;
  }
  int day = read_digits(text + 5, 2), month = read_month(text + 8);
  int year = read_digits(text + 12, 4), hour = read_digits(text + 17, 2);
  int minute = read_digits(text + 20, 2), second = read_digits(text + 23, 2);
  int64_t days;
  if (year < 1970 || !uq_date_days(year, month, day, &days) || hour > 23 ||
      minute > 59 || second > 60)
    return -1; /* 60: a leap second */
  return (double)days * 86400 + hour * 3600.0 + minute * 60.0 + second;
}

static double sane(double seconds) {
  return seconds > 0 && seconds <= RETRY_AFTER_MAX ? seconds : 0;
}

double uq_retry_after(const char *value, double now_unix) {
  size_t digits = strspn(value, "0123456789");
  if (digits > 0 && value[digits] == '\0') {
    double seconds = 0;
    for (const char *p = value; *p != '\0'; p++)
      seconds = seconds * 10 + (*p - '0');
    return sane(seconds);
  }
  double date = http_date(value);
  return date < 0 ? 0 : sane(date - now_unix);
}
