/*
** kqueue.c - the poller on macOS and the BSDs. The alarm is a timer of the
** kqueue; for an alarm that is due at once it is a user event, if the system
** has them, since a timer waits for the next tick.
**
** The code relies only on what all these systems have in common: a change that
** fails ends its list, so a change that may fail is applied separately; a
** timer is deleted and added again, not modified; a user event is triggered by
** a separate change.
** SPDX-License-Identifier: MIT
*/
#define _GNU_SOURCE
#include "engine/event/poller_system.h"

#if defined(UQ_POLLER_KQUEUE)

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <sys/event.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/clock.h"

#define WAIT_EVENTS 64
#define ALARM 0 /* its ident, which each filter has separately */

#if defined(NOTE_USECONDS)
#define TIMER_UNIT NOTE_USECONDS
#define UNITS_PER_SECOND 1e6
#else
#define TIMER_UNIT 0
#define UNITS_PER_SECOND 1e3
#endif
#define TIMER_MAX 2e9 /* fits 32 bits; a longer timer is set again */

const char *uq_poller_name(void) { return "kqueue"; }

void uq_system_init(struct uq_poller *p) {
  p->fd = -1;
  p->process = 0;
  p->alarm = 0;
}

int uq_system_open(struct uq_poller *p) {
  p->fd = kqueue();
  if (p->fd < 0)
    return errno;
  (void)fcntl(p->fd, F_SETFD, FD_CLOEXEC);
  p->process = getpid();
  return 0;
}

/* A forked child does not inherit a kqueue: there the descriptor is free, or
** another file's. */
void uq_system_close(struct uq_poller *p) {
  if (p->fd >= 0 && p->process == getpid())
    close(p->fd);
}

static int apply_changes(struct uq_poller *p, const struct kevent *changes,
                         int n) {
  return kevent(p->fd, changes, n, NULL, 0, NULL) == 0 ? 0 : errno;
}

static int set_filter(struct uq_poller *p, int fd, int filter, bool wanted) {
  struct kevent change;
  EV_SET(&change, fd, filter, wanted ? EV_ADD : EV_DELETE, 0, 0, 0);
  int error = apply_changes(p, &change, 1);
  if (!wanted && (error == ENOENT || error == EBADF))
    return 0;
  return error;
}

int uq_poller_watch(struct uq_poller *p, int fd, int what) {
  int error = set_filter(p, fd, EVFILT_READ, (what & UQ_POLL_IN) != 0);
  if (error != 0)
    return error;
  return set_filter(p, fd, EVFILT_WRITE, (what & UQ_POLL_OUT) != 0);
}

int uq_poller_pause(struct uq_poller *p, int fd) {
  return uq_poller_watch(p, fd, UQ_POLL_NONE);
}

int uq_system_fd(struct uq_poller *p) { return p->fd; }

/* Fills the changes that turn the alarm on, and returns their number. */
static int fill_alarm(struct uq_poller *p, struct kevent *changes,
                      double when) {
  double left = (when - uq_clock()) * UNITS_PER_SECOND;
#if defined(EVFILT_USER)
  if (left <= 0) {
    EV_SET(&changes[0], ALARM, EVFILT_USER, EV_ADD | EV_ONESHOT, 0, 0, 0);
    EV_SET(&changes[1], ALARM, EVFILT_USER, 0, NOTE_TRIGGER, 0, 0);
    p->alarm = EVFILT_USER;
    return 2;
  }
#endif
  intptr_t units = (intptr_t)fmax(1, fmin(ceil(left), TIMER_MAX));
  EV_SET(&changes[0], ALARM, EVFILT_TIMER, EV_ADD | EV_ONESHOT, TIMER_UNIT,
         units, 0);
  p->alarm = EVFILT_TIMER;
  return 1;
}

void uq_system_alarm(struct uq_poller *p, double when) {
  struct kevent changes[3];
  int n = 0;
  if (p->alarm != 0) {
    EV_SET(&changes[0], ALARM, p->alarm, EV_DELETE, 0, 0, 0);
    n = 1;
  }
  p->alarm = 0;
  p->timer_set = when;
  if (when >= 0)
    n += fill_alarm(p, &changes[n], when);
  if (n > 0 && apply_changes(p, changes, n) != 0) {
    p->alarm = 0; /* no memory; it is tried again */
    p->timer_set = -1;
  }
}

/* The event of that descriptor among the first n, or the element behind
** them. */
static struct uq_event *find_event(struct uq_event *events, int n, int fd) {
  int i = 0;
  while (i < n && events[i].fd != fd)
    i++;
  return &events[i];
}

int uq_system_wait(struct uq_poller *p, struct uq_event *events, int max,
                   int limit) {
  struct kevent ready[WAIT_EVENTS];
  struct timespec timeout = {limit / 1000, (long)(limit % 1000) * 1000000};
  int count = 0;
  int n = kevent(p->fd, NULL, 0, ready, max < WAIT_EVENTS ? max : WAIT_EVENTS,
                 &timeout);
  for (int i = 0; i < n; i++) {
    if ((int)ready[i].filter == p->alarm) { /* one shot: it is off now */
      p->alarm = 0;
      p->timer_set = -1;
      continue;
    }
    struct uq_event *event = find_event(events, count, (int)ready[i].ident);
    if (event == &events[count]) { /* both directions are reported separately */
      event->fd = (int)ready[i].ident;
      event->what = UQ_POLL_NONE;
      count++;
    }
    event->what |= ready[i].filter == EVFILT_READ ? UQ_POLL_IN : UQ_POLL_OUT;
    if (ready[i].flags & EV_EOF)
      event->what |= UQ_POLL_ERR;
  }
  return count;
}

#endif
