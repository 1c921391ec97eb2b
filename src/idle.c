/*
** idle.c - see idle.h.
** SPDX-License-Identifier: MIT
*/
#include "idle.h"

#include <sys/socket.h>

bool uq_idle_add(struct uq_idle *idle, int fd) {
  if (idle->count == UQ_IDLE_MAX)
    return false;
  idle->sockets[idle->count].fd = fd;
  idle->sockets[idle->count].events = POLLIN;
  idle->count++;
  return true;
}

void uq_idle_remove(struct uq_idle *idle, int fd) {
  for (int i = 0; i < idle->count; i++) {
    if (idle->sockets[i].fd == fd) {
      idle->sockets[i] = idle->sockets[--idle->count];
      return;
    }
  }
}

bool uq_idle_spoiled(struct uq_idle *idle) {
  bool spoiled = false;
  if (idle->count == 0 || poll(idle->sockets, (nfds_t)idle->count, 0) <= 0)
    return false;
  for (int i = idle->count - 1; i >= 0; i--) {
    int fd = idle->sockets[i].fd;
    if (idle->sockets[i].revents == 0)
      continue;
    (void)shutdown(fd, SHUT_RDWR); /* for its owner to see that it is dead */
    uq_idle_remove(idle, fd);
    spoiled = true;
  }
  return spoiled;
}
