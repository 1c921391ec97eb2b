/*
** idle_connections.h - the connections that wait for their next request.
*Whatever arrives
** on one of them answers no question: it is the end of the connection, or the
** remains of something else, and would be taken for the next answer. Knows no
** Lua and no curl.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_HTTP_IDLE_CONNECTIONS_H
#define UQ_HTTP_IDLE_CONNECTIONS_H

#include <poll.h>
#include <stdbool.h>

#include "engine/http/activity.h"

#pragma GCC visibility push(hidden)

/* All zero: none. */
struct uq_idle_connections {
  struct pollfd *sockets;
  int count, room;
  double looked; /* when all of them were last found silent; 0: not all were */
};

void uq_idle_connections_free(struct uq_idle_connections *idle);

/* A connection has become idle. Without the memory to look after it, it is shut
** down. */
void uq_idle_connections_add(struct uq_idle_connections *idle, int fd);

/* A connection is in use again, or closed. False: it was not idle. */
bool uq_idle_connections_remove(struct uq_idle_connections *idle, int fd);

/* Shuts a connection down that is of no use any more, for its owner to see that
** it is dead: what has arrived on it is dropped, for libcurl takes a connection
** with unread bytes of TLS on it to be alive. */
void uq_idle_connections_shut(int fd);

/* Has anything arrived on one of them? Those are given up and forgotten. now is
** on uq_clock: within a millisecond nobody looks twice. */
bool uq_idle_connections_check_dead(struct uq_idle_connections *idle,
                                    struct uq_activity *a, double now);

#pragma GCC visibility pop

#endif
