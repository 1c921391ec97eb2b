/*
** activity.c - see activity.h.
** SPDX-License-Identifier: MIT
*/
#define _GNU_SOURCE /* struct tcp_info */
#include "activity.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define RESENDS 3 /* timeouts of the system's in a row, without any answer */

void uq_activity_free(struct uq_activity *a) {
  free(a->connections);
  memset(a, 0, sizeof *a);
}

static struct uq_connection *watched(const struct uq_activity *a, int fd) {
  if (fd < 0 || fd >= a->room || a->connections[fd].opened == 0)
    return NULL;
  return &a->connections[fd];
}

const struct uq_connection *uq_activity_of(const struct uq_activity *a,
                                           int fd) {
  return watched(a, fd);
}

static int local_port(int fd) {
  union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
  } name;
  socklen_t size = sizeof name;
  if (getsockname(fd, &name.any, &size) != 0)
    return 0;
  if (name.any.sa_family == AF_INET)
    return ntohs(name.v4.sin_port);
  return name.any.sa_family == AF_INET6 ? ntohs(name.v6.sin6_port) : 0;
}

static struct uq_connection *open_connection(struct uq_activity *a, int fd,
                                             double now) {
  if (fd >= a->room) {
    int room = fd + 64;
    struct uq_connection *grown =
        realloc(a->connections, (size_t)room * sizeof *grown);
    if (grown == NULL)
      return NULL;
    memset(grown + a->room, 0, (size_t)(room - a->room) * sizeof *grown);
    a->connections = grown;
    a->room = room;
  }
  struct uq_connection *c = &a->connections[fd];
  memset(c, 0, sizeof *c);
  c->opened = c->heard = now;
  c->port = local_port(fd);
  return c;
}

void uq_activity_use(struct uq_activity *a, int fd, double now) {
  struct uq_connection *c = watched(a, fd);
  if (c == NULL)
    c = open_connection(a, fd, now);
  if (c != NULL && c->used == 0)
    c->used = now;
}

void uq_activity_rest(struct uq_activity *a, int fd, double now) {
  struct uq_connection *c = watched(a, fd);
  if (c == NULL)
    return;
  c->waited = uq_activity_waited(c, now);
  c->used = 0;
}

void uq_activity_touch(struct uq_activity *a, int fd, double now) {
  struct uq_connection *c = watched(a, fd);
  if (c == NULL)
    return;
  c->heard = now;
  c->waited = 0;
  if (c->used > 0)
    c->used = now;
}

void uq_activity_close(struct uq_activity *a, int fd) {
  struct uq_connection *c = watched(a, fd);
  if (c != NULL)
    c->opened = 0;
}

int uq_activity_find(const struct uq_activity *a, int port) {
  int found = -1;
  for (int fd = 0; fd < a->room; fd++) {
    if (a->connections[fd].opened == 0 || a->connections[fd].port != port)
      continue;
    if (found >= 0)
      return -1;
    found = fd;
  }
  return found;
}

double uq_activity_waited(const struct uq_connection *c, double now) {
  return c->used > 0 ? c->waited + (now - c->used) : c->waited;
}

void uq_activity_shut(struct uq_activity *a, int fd) {
  struct uq_connection *c = watched(a, fd);
  if (c == NULL || c->shut)
    return;
  c->shut = true;
  (void)shutdown(fd, SHUT_RDWR);
}

long uq_activity_count(const struct uq_activity *a) {
  long count = 0;
  for (int fd = 0; fd < a->room; fd++)
    count += a->connections[fd].opened > 0 && a->connections[fd].used > 0;
  return count;
}

#if defined(__linux__)

bool uq_activity_stuck(int fd, double seconds) {
  struct tcp_info info;
  socklen_t size = sizeof info;
  memset(&info, 0, sizeof info);
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0)
    return false;
  bool resent = info.tcpi_unacked > 0 && info.tcpi_retransmits >= RESENDS;
  bool unsent = info.tcpi_probes >= RESENDS; /* not even the network takes it */
  return (resent || unsent) && info.tcpi_last_ack_recv >= seconds * 1000;
}

#else

bool uq_activity_stuck(int fd, double seconds) {
  (void)fd;
  (void)seconds;
  return false;
}

#endif
