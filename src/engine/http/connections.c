/*
** connections.c - see connections.h.
** SPDX-License-Identifier: MIT
*/
#define _GNU_SOURCE /* struct tcp_info, POLLRDHUP */
#include "engine/http/connections.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#if !defined(POLLRDHUP)
#define POLLRDHUP 0 /* POLLHUP is reported unasked */
#endif

#define GROWTH 64     /* descriptors */
#define SILENCE 0.001 /* seconds for which a look at all idle ones is valid */
#define POLLED 64     /* idle connections a poll(2) */
#define READS 16      /* blocks that are dropped of what has arrived */
#define RESENDS 3     /* retransmission timeouts in a row */

/* ------------------------------------------------------------------------ */
/* the table                                                                 */
/* ------------------------------------------------------------------------ */

void uq_connections_free(struct uq_connections *cs) {
  while (cs->first != NULL)
    uq_connections_close(cs, cs->first->fd);
  free(cs->by_fd);
  memset(cs, 0, sizeof *cs);
}

static struct uq_connection *find_connection(const struct uq_connections *cs,
                                             int fd) {
  return fd >= 0 && fd < cs->room ? cs->by_fd[fd] : NULL;
}

const struct uq_connection *uq_connections_of(const struct uq_connections *cs,
                                              int fd) {
  return find_connection(cs, fd);
}

static bool make_room(struct uq_connections *cs, int fd) {
  if (fd < cs->room)
    return true;
  int room = fd + GROWTH;
  struct uq_connection **grown =
      realloc(cs->by_fd, (size_t)room * sizeof(void *));
  if (grown == NULL)
    return false;
  for (int i = cs->room; i < room; i++)
    grown[i] = NULL;
  cs->by_fd = grown;
  cs->room = room;
  return true;
}

bool uq_connection_is_inet(int fd) {
  struct sockaddr_storage name;
  socklen_t size = sizeof name;
  memset(&name, 0, sizeof name);
  return getsockname(fd, (struct sockaddr *)&name, &size) == 0 &&
         (name.ss_family == AF_INET || name.ss_family == AF_INET6);
}

static void set_local_end(struct uq_connection *c) {
  union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
  } name;
  socklen_t size = sizeof name;
  const void *address = &name.v4.sin_addr;
  memset(&name, 0, sizeof name);
  if (getsockname(c->fd, &name.any, &size) != 0)
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

/* NULL: out of memory. */
static struct uq_connection *open_connection(struct uq_connections *cs, int fd,
                                             double now) {
  struct uq_connection *c = make_room(cs, fd) ? calloc(1, sizeof *c) : NULL;
  if (c == NULL)
    return NULL;
  c->fd = fd;
  c->opened = c->heard = now;
  set_local_end(c);
  c->next = cs->first;
  if (c->next != NULL)
    c->next->prev = c;
  cs->first = cs->by_fd[fd] = c;
  return c;
}

static void set_idle(struct uq_connections *cs, struct uq_connection *c,
                     bool idle) {
  cs->idle_count += idle - c->idle;
  c->idle = idle;
}

void uq_connections_use(struct uq_connections *cs, int fd, double now) {
  struct uq_connection *c = find_connection(cs, fd);
  if (c == NULL)
    c = open_connection(cs, fd, now);
  if (c == NULL)
    return;
  set_idle(cs, c, false);
  if (c->used == 0)
    c->used = now;
}

void uq_connections_touch(struct uq_connections *cs, int fd, double now) {
  struct uq_connection *c = find_connection(cs, fd);
  if (c == NULL)
    return;
  c->heard = now;
  c->waited = 0;
  if (c->used > 0)
    c->used = now;
}

void uq_connections_close(struct uq_connections *cs, int fd) {
  struct uq_connection *c = find_connection(cs, fd);
  if (c == NULL)
    return;
  cs->idle_count -= c->idle;
  cs->shut_count -= c->shut;
  if (c->prev != NULL)
    c->prev->next = c->next;
  else
    cs->first = c->next;
  if (c->next != NULL)
    c->next->prev = c->prev;
  cs->by_fd[fd] = NULL;
  free(c);
}

int uq_connections_find(const struct uq_connections *cs, int port,
                        const char *address) {
  int found = -1, count = 0, exact = -1, exact_count = 0;
  for (const struct uq_connection *c = cs->first; c != NULL; c = c->next) {
    if (c->port != port)
      continue;
    found = c->fd;
    count++;
    if (strcmp(c->address, address) != 0)
      continue;
    exact = c->fd;
    exact_count++;
  }
  if (exact_count == 1)
    return exact;
  return count == 1 ? found : -1;
}

long uq_connections_in_use(const struct uq_connections *cs) {
  long count = 0;
  for (const struct uq_connection *c = cs->first; c != NULL; c = c->next)
    count += c->used > 0;
  return count;
}

double uq_connection_waited(const struct uq_connection *c, double now) {
  return c->used > 0 ? c->waited + (now - c->used) : c->waited;
}

/* ------------------------------------------------------------------------ */
/* giving connections up                                                     */
/* ------------------------------------------------------------------------ */

static void shut_unused_socket(int fd) {
  char bytes[4096];
  (void)shutdown(fd, SHUT_RDWR);
  for (int i = 0; i < READS; i++) {
    if (recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) <= 0)
      break;
  }
}

void uq_connections_shut(struct uq_connections *cs, int fd) {
  struct uq_connection *c = find_connection(cs, fd);
  if (c == NULL || c->shut)
    return;
  set_idle(cs, c, false);
  c->shut = true;
  cs->shut_count++;
  if (c->used == 0)
    shut_unused_socket(fd);
  else
    (void)shutdown(fd, SHUT_RDWR);
}

void uq_connections_doubt(struct uq_connections *cs, int fd) {
  struct uq_connection *c = find_connection(cs, fd);
  if (c != NULL)
    c->doubted = true;
}

void uq_connections_rest(struct uq_connections *cs, int fd, double now,
                         bool idle) {
  struct uq_connection *c = find_connection(cs, fd);
  if (c == NULL) {
    if (idle)
      shut_unused_socket(fd);
    return;
  }
  c->waited = uq_connection_waited(c, now);
  c->used = 0;
  if (c->doubted) {
    uq_connections_shut(cs, fd);
  } else if (idle && !c->shut) {
    set_idle(cs, c, true);
    cs->idle_checked = 0;
  }
}

void uq_connections_shut_unused(struct uq_connections *cs, double before) {
  for (struct uq_connection *c = cs->first; c != NULL; c = c->next) {
    if (c->used == 0 && c->heard < before)
      uq_connections_shut(cs, c->fd);
  }
}

/* True if bytes have arrived on one of these. */
static bool shut_readable(struct uq_connections *cs, struct pollfd *fds,
                          nfds_t count) {
  bool found = false;
  if (count == 0 || poll(fds, count, 0) <= 0)
    return false;
  for (nfds_t i = 0; i < count; i++) {
    if (fds[i].revents == 0)
      continue;
    uq_connections_shut(cs, fds[i].fd);
    found = true;
  }
  return found;
}

bool uq_connections_shut_spoiled(struct uq_connections *cs, double now) {
  struct pollfd fds[POLLED];
  nfds_t count = 0;
  bool found = false;
  if (cs->idle_count == 0 || now < cs->idle_checked + SILENCE)
    return false;
  cs->idle_checked = now;
  for (struct uq_connection *c = cs->first; c != NULL; c = c->next) {
    if (!c->idle)
      continue;
    fds[count].fd = c->fd;
    fds[count++].events = POLLIN;
    if (count == POLLED) {
      found |= shut_readable(cs, fds, count);
      count = 0;
    }
  }
  return shut_readable(cs, fds, count) || found;
}

bool uq_connections_have_dead(const struct uq_connections *cs) {
  if (cs->shut_count == 0)
    return false;
  const struct uq_connection *c = cs->first;
  while (c != NULL && !(c->shut && c->used == 0))
    c = c->next;
  return c != NULL;
}

/* ------------------------------------------------------------------------ */
/* what the system knows                                                     */
/* ------------------------------------------------------------------------ */

bool uq_connection_has_ended(int fd) {
  struct pollfd p = {.fd = fd, .events = POLLRDHUP};
  return poll(&p, 1, 0) > 0;
}

#if defined(__linux__)

bool uq_connection_is_stuck(int fd, double seconds) {
  struct tcp_info info;
  socklen_t size = sizeof info;
  memset(&info, 0, sizeof info);
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0)
    return false;
  bool resent = info.tcpi_unacked > 0 && info.tcpi_retransmits >= RESENDS;
  bool unsent = info.tcpi_probes >= RESENDS; /* the local network is down */
  return (resent || unsent) && info.tcpi_last_ack_recv >= seconds * 1000;
}

#else

bool uq_connection_is_stuck(int fd, double seconds) {
  (void)fd;
  (void)seconds;
  return false;
}

#endif
