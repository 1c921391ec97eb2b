/*
** poll.c - the poller on systems without epoll and kqueue: poll(2) over an
** array. There is no one descriptor that others could wait on.
** SPDX-License-Identifier: MIT
*/
#include "engine/event/poller_system.h"

#if defined(UQ_POLLER_POLL)

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>

#define FREE (-1) /* for a descriptor: poll(2) passes over it */

const char *uq_poller_name(void) { return "poll"; }

void uq_system_init(struct uq_poller *p) {
  p->watched = NULL;
  p->room = p->first = 0;
}

int uq_system_open(struct uq_poller *p) {
  (void)p; /* memory is taken when something is watched */
  return 0;
}

void uq_system_close(struct uq_poller *p) { free(p->watched); }

static struct pollfd *find(struct uq_poller *p, int fd) {
  for (int i = 0; i < p->room; i++)
    if (p->watched[i].fd == fd)
      return &p->watched[i];
  return NULL;
}

/* A free one. NULL: out of memory. */
static struct pollfd *take_free(struct uq_poller *p) {
  struct pollfd *slot = find(p, FREE);
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
  struct pollfd *slot = find(p, fd);
  if (what == UQ_POLL_NONE) {
    if (slot != NULL)
      slot->fd = FREE;
    return 0;
  }
  if (fcntl(fd, F_GETFD) < 0)
    return errno;
  if (slot == NULL)
    slot = take_free(p);
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
  (void)p; /* never called: nobody gets a descriptor */
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
    p->first = at + 1; /* or the ones behind might never have their turn */
    if (slot->revents & POLLNVAL) {
      slot->fd = FREE; /* closed, and so forgotten */
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
