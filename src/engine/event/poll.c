/*
** poll.c - the poller on systems without epoll and kqueue: poll(2) over an
** array. It has no descriptor for event loops.
** SPDX-License-Identifier: MIT
*/
#include "engine/event/poller_system.h"

#if defined(UQ_POLLER_POLL)

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>

#define FREE (-1) /* as a descriptor: poll(2) ignores it */

const char *uq_poller_name(void) { return "poll"; }

void uq_system_init(struct uq_poller *p) {
  p->watched = NULL;
  p->room = p->first = 0;
}

int uq_system_open(struct uq_poller *p) {
  (void)p; /* allocated by uq_poller_watch */
  return 0;
}

void uq_system_close(struct uq_poller *p) { free(p->watched); }

static struct pollfd *find_slot(struct uq_poller *p, int fd) {
  for (int i = 0; i < p->room; i++)
    if (p->watched[i].fd == fd)
      return &p->watched[i];
  return NULL;
}

/* A free element. NULL: out of memory. */
static struct pollfd *free_slot(struct uq_poller *p) {
  struct pollfd *slot = find_slot(p, FREE);
  if (slot != NULL)
    return slot;
  int old = p->room, room = old > 0 ? 2 * old : 8;
  struct pollfd *watched =
      realloc(p->watched, (size_t)room * sizeof *p->watched);
  if (watched == NULL)
    return NULL;
  for (int i = old; i < room; i++)
    watched[i].fd = FREE;
  p->watched = watched;
  p->room = room;
  return &watched[old];
}

int uq_poller_watch(struct uq_poller *p, int fd, int what) {
  struct pollfd *slot = find_slot(p, fd);
  if (what == UQ_POLL_NONE) {
    if (slot != NULL)
      slot->fd = FREE;
    return 0;
  }
  if (fcntl(fd, F_GETFD) < 0)
    return errno;
  if (slot == NULL)
    slot = free_slot(p);
  if (slot == NULL)
    return ENOMEM;
  slot->fd = fd;
  slot->events = (short)((what & UQ_POLL_IN ? POLLIN : 0) |
                         (what & UQ_POLL_OUT ? POLLOUT : 0));
  return 0;
}

int uq_poller_pause(struct uq_poller *p, int fd) {
  return uq_poller_watch(p, fd, UQ_POLL_NONE);
}

int uq_system_fd(struct uq_poller *p) {
  (void)p;
  return -1;
}

void uq_system_alarm(struct uq_poller *p, double when) {
  (void)p; /* never called: no descriptor is exported */
  (void)when;
}

int uq_system_wait(struct uq_poller *p, struct uq_event *events, int max,
                   int limit) {
  int count = 0, first = p->first;
  if (poll(p->watched, (nfds_t)p->room, limit) <= 0)
    return 0;
  for (int i = 0; i < p->room && count < max; i++) {
    int at = (first + i) % p->room;
    struct pollfd *slot = &p->watched[at];
    if (slot->fd == FREE || slot->revents == 0)
      continue;
    p->first = at + 1; /* fairness: start behind it the next time */
    if (slot->revents & POLLNVAL) {
      slot->fd = FREE; /* it was closed */
      continue;
    }
    events[count].fd = slot->fd;
    events[count].what =
        (slot->revents & POLLIN ? UQ_POLL_IN : 0) |
        (slot->revents & POLLOUT ? UQ_POLL_OUT : 0) |
        (slot->revents & (POLLERR | POLLHUP) ? UQ_POLL_ERR : 0);
    count++;
  }
  return count;
}

#endif
