/*
** epoll.c - the poller on Linux: epoll, with a timerfd for the alarm.
** SPDX-License-Identifier: MIT
*/
#define _GNU_SOURCE
#include "engine/event/poller_system.h"
#include "engine/base/clock.h"

#if defined(UQ_POLLER_EPOLL)

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define WAIT_EVENTS 64

const char *uq_poller_name(void) { return "epoll"; }

void uq_system_init(struct uq_poller *p) {
  p->fd = p->timer = -1;
  p->known = NULL;
  p->room = 0;
}

int uq_system_open(struct uq_poller *p) {
  p->fd = epoll_create1(EPOLL_CLOEXEC);
  return p->fd < 0 ? errno : 0;
}

void uq_system_close(struct uq_poller *p) {
  if (p->timer >= 0)
    close(p->timer);
  if (p->fd >= 0)
    close(p->fd);
  free(p->known);
}

static int control(struct uq_poller *p, int operation, int fd,
                   uint32_t events) {
  struct epoll_event event;
  memset(&event, 0, sizeof event);
  event.events = events;
  event.data.fd = fd;
  return epoll_ctl(p->fd, operation, fd, &event) == 0 ? 0 : errno;
}

/* What the kernel watches the descriptor for, as far as is known. */
static int known(const struct uq_poller *p, int fd) {
  return fd >= 0 && fd < p->room ? p->known[fd] : UQ_POLL_NONE;
}

/* Without the memory to remember it, it is not known. */
static void remember(struct uq_poller *p, int fd, int what) {
  if (fd >= p->room) {
    int room = fd + 64;
    unsigned char *grown = realloc(p->known, (size_t)room);
    if (grown == NULL)
      return;
    memset(grown + p->room, UQ_POLL_NONE, (size_t)(room - p->room));
    p->known = grown;
    p->room = room;
  }
  p->known[fd] = (unsigned char)what;
}

static int forget(struct uq_poller *p, int fd) {
  if (fd >= 0 && fd < p->room)
    p->known[fd] = UQ_POLL_NONE;
  int error = control(p, EPOLL_CTL_DEL, fd, 0);
  return error == ENOENT || error == EBADF ? 0 : error;
}

int uq_poller_watch(struct uq_poller *p, int fd, int what) {
  uint32_t events = 0;
  if (what == UQ_POLL_NONE)
    return forget(p, fd);
  if (known(p, fd) == (what | UQ_POLL_REST)) {
    p->known[fd] = (unsigned char)what;
    return 0;
  }
  if (what & UQ_POLL_IN)
    events |= EPOLLIN;
  if (what & UQ_POLL_OUT)
    events |= EPOLLOUT;
  int error = control(p, EPOLL_CTL_ADD, fd, events);
  if (error == EEXIST)
    error = control(p, EPOLL_CTL_MOD, fd, events);
  if (error == 0)
    remember(p, fd, what);
  return error;
}

int uq_poller_pause(struct uq_poller *p, int fd) {
  if (known(p, fd) == UQ_POLL_NONE)
    return forget(p, fd);
  p->known[fd] |= UQ_POLL_REST;
  return 0;
}

static bool open_timer(struct uq_poller *p) {
  p->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
  if (p->timer < 0)
    return false;
  if (control(p, EPOLL_CTL_ADD, p->timer, EPOLLIN) == 0)
    return true;
  close(p->timer);
  p->timer = -1;
  return false;
}

int uq_system_fd(struct uq_poller *p) {
  return p->timer >= 0 || open_timer(p) ? p->fd : -1;
}

void uq_system_alarm(struct uq_poller *p, double when) {
  struct itimerspec at;
  memset(&at, 0, sizeof at);
  if (when >= 0) {
    at.it_value.tv_sec = (time_t)when;
    at.it_value.tv_nsec = (long)((when - floor(when)) * 1e9);
    if (when == 0)
      at.it_value.tv_nsec = 1; /* all zero would silence it */
  }
  timerfd_settime(p->timer, TFD_TIMER_ABSTIME, &at, NULL);
  p->armed = when;
}

/* Something happened to a resting descriptor: it is watched for its end only,
** or not at all after that. What there is to report. */
static int rested(struct uq_poller *p, int fd, uint32_t what) {
  if (what & (EPOLLERR | EPOLLHUP | EPOLLRDHUP)) {
    forget(p, fd);
    return UQ_POLL_REST | UQ_POLL_ERR;
  }
  if (control(p, EPOLL_CTL_MOD, fd, EPOLLRDHUP) == 0)
    p->known[fd] = UQ_POLL_REST;
  else
    forget(p, fd);
  return what & EPOLLIN ? UQ_POLL_REST | UQ_POLL_IN : UQ_POLL_NONE;
}

int uq_system_wait(struct uq_poller *p, struct uq_event *events, int max,
                   int limit) {
  struct epoll_event ready[WAIT_EVENTS];
  int count = 0;
  int n =
      epoll_wait(p->fd, ready, max < WAIT_EVENTS ? max : WAIT_EVENTS, limit);
  for (int i = 0; i < n; i++) {
    if (ready[i].data.fd == p->timer) {
      if (p->due < 0 || uq_clock() < p->due) /* outdated; else it rings on, being never read */
        uq_system_alarm(p, p->due);
      continue;
    }
    events[count].fd = ready[i].data.fd;
    if (known(p, ready[i].data.fd) & UQ_POLL_REST) {
      events[count].what = rested(p, ready[i].data.fd, ready[i].events);
      count += events[count].what != UQ_POLL_NONE;
      continue;
    }
    events[count].what =
        (ready[i].events & EPOLLIN ? UQ_POLL_IN : 0) |
        (ready[i].events & EPOLLOUT ? UQ_POLL_OUT : 0) |
        (ready[i].events & (EPOLLERR | EPOLLHUP) ? UQ_POLL_ERR : 0);
    count++;
  }
  return count;
}

#endif
