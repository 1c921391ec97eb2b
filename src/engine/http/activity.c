/*
** activity.c - see activity.h.
** SPDX-License-Identifier: MIT
*/
#define _GNU_SOURCE /* struct tcp_info, POLLRDHUP */
#include "engine/http/activity.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#if !defined(POLLRDHUP)
#define POLLRDHUP 0 /* POLLHUP tells, or nothing does */
#endif

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

bool uq_activity_is_connection(int fd) {
  struct sockaddr_storage name;
  socklen_t size = sizeof name;
  memset(&name, 0, sizeof name);
  return getsockname(fd, (struct sockaddr *)&name, &size) == 0 &&
         (name.ss_family == AF_INET || name.ss_family == AF_INET6);
}

/* Asks the system for the local end. */
static void set_local(struct uq_connection *c, int fd) {
  union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
  } name;
  socklen_t size = sizeof name;
  const void *address = &name.v4.sin_addr;
  memset(&name, 0, sizeof name);
  if (getsockname(fd, &name.any, &size) != 0)
    return;
  if (name.any.sa_family == AF_INET) {
    c->port = ntohs(name.v4.sin_port);
  } else if (name.any.sa_family == AF_INET6) {
    c->port = ntohs(name.v6.sin6_port);
    address = &name.v6.sin6_addr;
  }
  if (c->port != 0)
    (void)inet_ntop(name.any.sa_family, address, c->address, sizeof c->address);
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
  set_local(c, fd);
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
  if (c->doubted)
    uq_activity_shut(a, fd);
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
  if (c == NULL)
    return;
  a->shut -= c->shut;
  c->opened = 0;
}

int uq_activity_find(const struct uq_activity *a, int port,
                     const char *address) {
  int found = -1, count = 0, exact = -1, exact_count = 0;
  for (int fd = 0; fd < a->room; fd++) {
    const struct uq_connection *c = watched(a, fd);
    if (c == NULL || c->port != port)
      continue;
    found = fd;
    count++;
    if (strcmp(c->address, address) != 0)
      continue;
    exact = fd;
    exact_count++;
  }
  if (exact_count == 1)
    return exact;
  return count == 1 ? found : -1;
}

double uq_activity_waited(const struct uq_connection *c, double now) {
  return c->used > 0 ? c->waited + (now - c->used) : c->waited;
}

void uq_activity_doubt(struct uq_activity *a, int fd) {
  struct uq_connection *c = watched(a, fd);
  if (c != NULL)
    c->doubted = true;
}

void uq_activity_shut(struct uq_activity *a, int fd) {
  struct uq_connection *c = watched(a, fd);
  if (c == NULL || c->shut)
    return;
  c->shut = true;
  a->shut++;
  (void)shutdown(fd, SHUT_RDWR);
}

bool uq_activity_has_dead(const struct uq_activity *a) {
  for (int fd = 0; a->shut > 0 && fd < a->room; fd++) {
    const struct uq_connection *c = watched(a, fd);
    if (c != NULL && c->shut && c->used == 0)
      return true;
  }
  return false;
}

long uq_activity_count(const struct uq_activity *a) {
  long count = 0;
  for (int fd = 0; fd < a->room; fd++)
    count += a->connections[fd].opened > 0 && a->connections[fd].used > 0;
  return count;
}

bool uq_activity_ended(int fd) {
  struct pollfd p = {.fd = fd, .events = POLLRDHUP};
  return poll(&p, 1, 0) > 0;
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
