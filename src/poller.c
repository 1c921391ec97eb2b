/*
** poller.c - see poller.h.
**
** The timer is a plain number, handed to the timerfd only when somebody else
** asks for the descriptor: our own wait knows its end without a system call.
** SPDX-License-Identifier: MIT
*/
#define _GNU_SOURCE
#include "poller.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "clock.h"

#define WAIT_EVENTS 16

void uq_poller_init(struct uq_poller *p) {
  p->fd = p->timer = -1;
  p->due = p->armed = -1;
}

static int control(struct uq_poller *p, int operation, int fd,
                   uint32_t events) {
  struct epoll_event event;
  memset(&event, 0, sizeof event);
  event.events = events;
  event.data.fd = fd;
  return epoll_ctl(p->fd, operation, fd, &event) == 0 ? 0 : errno;
}

int uq_poller_open(struct uq_poller *p) {
  uq_poller_init(p);
  p->fd = epoll_create1(EPOLL_CLOEXEC);
  return p->fd < 0 ? errno : 0;
}

void uq_poller_close(struct uq_poller *p) {
  int fd = p->fd, timer = p->timer;
  uq_poller_init(p);
  if (timer >= 0)
    close(timer);
  if (fd >= 0)
    close(fd);
}

int uq_poller_watch(struct uq_poller *p, int fd, int what) {
  uint32_t events = 0;
  if (what == UQ_POLL_NONE) {
    int error = control(p, EPOLL_CTL_DEL, fd, 0);
    return error == ENOENT || error == EBADF ? 0 : error;
  }
  if (what & UQ_POLL_IN)
    events |= EPOLLIN;
  if (what & UQ_POLL_OUT)
    events |= EPOLLOUT;
  int error = control(p, EPOLL_CTL_ADD, fd, events);
  return error == EEXIST ? control(p, EPOLL_CTL_MOD, fd, events) : error;
}

void uq_poller_timer(struct uq_poller *p, long ms) {
  p->due = ms < 0 ? -1 : uq_clock() + (double)ms / 1000;
}

bool uq_poller_due(const struct uq_poller *p) {
  return p->due >= 0 && uq_clock() >= p->due;
}

static bool open_timer(struct uq_poller *p) {
  p->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  if (p->timer < 0)
    return false;
  if (control(p, EPOLL_CTL_ADD, p->timer, EPOLLIN) == 0)
    return true;
  close(p->timer);
  p->timer = -1;
  return false;
}

int uq_poller_fd(struct uq_poller *p) {
  if (p->timer < 0 && !open_timer(p))
    return -1;
  if (p->armed != p->due) {
    struct itimerspec when;
    memset(&when, 0, sizeof when);
    if (p->due >= 0) {
      when.it_value.tv_sec = (time_t)p->due;
      when.it_value.tv_nsec = (long)((p->due - floor(p->due)) * 1e9);
    }
    timerfd_settime(p->timer, TFD_TIMER_ABSTIME, &when, NULL);
    p->armed = p->due;
  }
  return p->fd;
}

/* The timerfd has gone off: quiet it until it is set again. */
static void quiet_timer(struct uq_poller *p) {
  uint64_t expirations;
  ssize_t n = read(p->timer, &expirations, sizeof expirations);
  (void)n; /* nothing to read is quiet, too */
  p->armed = -1;
}

int uq_poller_wait(struct uq_poller *p, struct uq_event *events, int max,
                   long limit) {
  struct epoll_event ready[WAIT_EVENTS];
  int count = 0;
  if (p->due >= 0) {
    double left = ceil((p->due - uq_clock()) * 1000);
    if (left < (double)limit)
      limit = left > 0 ? (long)left : 0;
  }
  int n = epoll_wait(p->fd, ready, max < WAIT_EVENTS ? max : WAIT_EVENTS,
                     (int)limit);
  for (int i = 0; i < n; i++) {
    if (ready[i].data.fd == p->timer) {
      quiet_timer(p);
      continue;
    }
    events[count].fd = ready[i].data.fd;
    events[count].what =
        (ready[i].events & EPOLLIN ? UQ_POLL_IN : 0) |
        (ready[i].events & EPOLLOUT ? UQ_POLL_OUT : 0) |
        (ready[i].events & (EPOLLERR | EPOLLHUP) ? UQ_POLL_ERR : 0);
    count++;
  }
  return count;
}
