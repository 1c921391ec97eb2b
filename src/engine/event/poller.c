/*
** poller.c - see poller.h: the part that all systems share.
**
** The timer is a number, which becomes an alarm of the system only if the
** descriptor is exported: uq_poller_wait needs no system call for it.
** SPDX-License-Identifier: MIT
*/
#include "engine/event/poller.h"

#include <limits.h>
#include <math.h>

#include "engine/base/clock.h"
#include "engine/event/poller_system.h"

void uq_poller_init(struct uq_poller *p) {
  p->due = p->timer_set = -1;
  p->exported = p->woken = false;
  uq_system_init(p);
}

int uq_poller_open(struct uq_poller *p) {
  uq_poller_init(p);
  return uq_system_open(p);
}

void uq_poller_close(struct uq_poller *p) {
  struct uq_poller closing = *p;
  uq_poller_init(p);
  uq_system_close(&closing);
}

void uq_poller_timer(struct uq_poller *p, double due) { p->due = due; }

bool uq_poller_due(const struct uq_poller *p) {
  return p->due >= 0 && uq_clock() >= p->due;
}

int uq_poller_fd(struct uq_poller *p) {
  int fd = uq_system_fd(p);
  p->exported = fd >= 0;
  uq_poller_arm(p);
  return fd;
}

bool uq_poller_is_exported(const struct uq_poller *p) { return p->exported; }

void uq_poller_arm(struct uq_poller *p) {
  if (p->exported && !p->woken && p->timer_set != p->due)
    uq_system_alarm(p, p->due);
}

void uq_poller_notify(struct uq_poller *p) {
  if (!p->exported || p->woken)
    return;
  p->woken = true;
  uq_system_alarm(p, 0); /* at once */
}

/* Milliseconds until the limit or the timer. */
static int time_left(const struct uq_poller *p, long limit) {
  double left = (double)limit;
  if (p->due >= 0)
    left = fmin(left, ceil((p->due - uq_clock()) * 1000));
  return (int)fmax(0, fmin(left, INT_MAX));
}

int uq_poller_wait(struct uq_poller *p, struct uq_event *events, int max,
                   long limit) {
  if (p->woken) {
    p->woken = false;
    uq_system_alarm(p, p->due);
    limit = 0;
  }
  return uq_system_wait(p, events, max, time_left(p, limit));
}
