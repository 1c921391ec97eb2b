/*
** idle_connections.c - see idle_connections.h.
** SPDX-License-Identifier: MIT
*/
#include "engine/http/idle_connections.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define SILENCE 0.001 /* seconds that a look at all of them is good for */
#define READS 16      /* of what has arrived on one that is spoiled */

void uq_idle_connections_free(struct uq_idle_connections *idle) {
  free(idle->sockets);
  memset(idle, 0, sizeof *idle);
}

static bool make_room(struct uq_idle_connections *idle) {
  if (idle->count < idle->room)
    return true;
  int room = idle->room == 0 ? 8 : 2 * idle->room;
  struct pollfd *grown =
      realloc(idle->sockets, (size_t)room * sizeof *idle->sockets);
  if (grown == NULL)
    return false;
  idle->sockets = grown;
  idle->room = room;
  return true;
}

void uq_idle_connections_add(struct uq_idle_connections *idle, int fd) {
  if (!make_room(idle)) {
    uq_idle_connections_shut(fd);
    return;
  }
  idle->sockets[idle->count].fd = fd;
  idle->sockets[idle->count].events = POLLIN;
  idle->count++;
  idle->looked = 0;
}

bool uq_idle_connections_remove(struct uq_idle_connections *idle, int fd) {
  for (int i = 0; i < idle->count; i++) {
    if (idle->sockets[i].fd == fd) {
      idle->sockets[i] = idle->sockets[--idle->count];
      return true;
    }
  }
  return false;
}

void uq_idle_connections_shut(int fd) {
  char bytes[4096];
  (void)shutdown(fd, SHUT_RDWR);
  for (int i = 0; i < READS; i++) {
    if (recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) <= 0)
      break;
  }
}

bool uq_idle_connections_check_dead(struct uq_idle_connections *idle,
                                    struct uq_activity *a, double now) {
  bool spoiled = false;
  if (idle->count == 0 || now < idle->looked + SILENCE)
    return false;
  idle->looked = now;
  if (poll(idle->sockets, (nfds_t)idle->count, 0) <= 0)
    return false;
  for (int i = idle->count - 1; i >= 0; i--) {
    int fd = idle->sockets[i].fd;
    if (idle->sockets[i].revents == 0)
      continue;
    uq_idle_connections_shut(fd);
    uq_activity_shut(a, fd);
    uq_idle_connections_remove(idle, fd);
    spoiled = true;
  }
  return spoiled;
}
