/*
** epoll.c - the poller on Linux: epoll, with a timerfd for the alarm.
** SPDX-License-Identifier: MIT
*/
#define _GNU_SOURCE
#include "engine/event/poller_system.h"

#if defined(UQ_POLLER_EPOLL)

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "engine/base/clock.h"

#define WAIT_EVENTS 64
#define ROOM_AHEAD 64 /* elements, for the descriptors that follow */

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

static int change_watch(struct uq_poller *p, int operation, int fd,
                        uint32_t events) {
  struct epoll_event event;
  memset(&event, 0, sizeof event);
  event.events = events;
  event.data.fd = fd;
  return epoll_ctl(p->fd, operation, fd, &event) == 0 ? 0 : errno;
}

/* What the kernel watches the descriptor for, if known. */
static int watched_for(const struct uq_poller *p, int fd) {
  return fd >= 0 && fd < p->room ? p->known[fd] : UQ_POLL_NONE;
}

/* Without memory it stays unknown, which costs a system call later. */
static void set_known(struct uq_poller *p, int fd, int what) {
  if (fd >= p->room) {
    int room = fd + ROOM_AHEAD;
    unsigned char *grown = realloc(p->known, (size_t)room);
    if (grown == NULL)
      return;
    memset(grown + p->room, UQ_POLL_NONE, (size_t)(room - p->room));
    p->known = grown;
    p->room = room;
  }
  p->known[fd] = (unsigned char)what;
}

static int unwatch(struct uq_poller *p, int fd) {
  if (fd >= 0 && fd < p->room)
    p->known[fd] = UQ_POLL_NONE;
  int error = change_watch(p, EPOLL_CTL_DEL, fd, 0);
  return error == ENOENT || error == EBADF ? 0 : error;
}

int uq_poller_watch(struct uq_poller *p, int fd, int what) {
  uint32_t events = 0;
  if (what == UQ_POLL_NONE)
    return unwatch(p, fd);
  if (watched_for(p, fd) == (what | UQ_POLL_PAUSED)) {
    p->known[fd] = (unsigned char)what;
    return 0;
  }
  if (what & UQ_POLL_IN)
    events |= EPOLLIN;
  if (what & UQ_POLL_OUT)
    events |= EPOLLOUT;
  int error = change_watch(p, EPOLL_CTL_ADD, fd, events);
  if (error == EEXIST)
    error = change_watch(p, EPOLL_CTL_MOD, fd, events);
  if (error == 0)
    set_known(p, fd, what);
  return error;
}

int uq_poller_pause(struct uq_poller *p, int fd) {
  if (watched_for(p, fd) == UQ_POLL_NONE)
    return unwatch(p, fd);
  p->known[fd] |= UQ_POLL_PAUSED;
  return 0;
}

static bool open_timer(struct uq_poller *p) {
  p->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
  if (p->timer < 0)
    return false;
  if (change_watch(p, EPOLL_CTL_ADD, p->timer, EPOLLIN) == 0)
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
      at.it_value.tv_nsec = 1; /* all zero would turn it off */
  }
  timerfd_settime(p->timer, TFD_TIMER_ABSTIME, &at, NULL);
  p->timer_set = when;
}

/* An event of a paused descriptor, which from now on is watched for the end of
** its connection only, and not at all after that. Returns what to report. */
static int paused_event(struct uq_poller *p, int fd, uint32_t what) {
  if (what & (EPOLLERR | EPOLLHUP | EPOLLRDHUP)) {
    unwatch(p, fd);
    return UQ_POLL_PAUSED | UQ_POLL_ERR;
  }
  if (change_watch(p, EPOLL_CTL_MOD, fd, EPOLLRDHUP) == 0)
    p->known[fd] = UQ_POLL_PAUSED;
  else
    unwatch(p, fd);
  return what & EPOLLIN ? UQ_POLL_PAUSED | UQ_POLL_IN : UQ_POLL_NONE;
}

int uq_system_wait(struct uq_poller *p, struct uq_event *events, int max,
                   int limit) {
  struct epoll_event ready[WAIT_EVENTS];
  int count = 0;
  int n =
      epoll_wait(p->fd, ready, max < WAIT_EVENTS ? max : WAIT_EVENTS, limit);
  for (int i = 0; i < n; i++) {
    if (ready[i].data.fd == p->timer) {      /* never read: stays readable */
      if (p->due < 0 || uq_clock() < p->due) /* outdated */
        uq_system_alarm(p, p->due);
      continue;
    }
    events[count].fd = ready[i].data.fd;
    if (watched_for(p, ready[i].data.fd) & UQ_POLL_PAUSED) {
      events[count].what = paused_event(p, ready[i].data.fd, ready[i].events);
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
