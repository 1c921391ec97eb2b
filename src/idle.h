/*
** idle.h - the connections that wait for their next request. Whatever arrives
** on one of them answers no question: it is the end of the connection, or the
** remains of something else, and would be taken for the next answer. Knows no
** Lua and no curl.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_IDLE_H
#define UQ_IDLE_H

#include <poll.h>
#include <stdbool.h>

#pragma GCC visibility push(hidden)

#define UQ_IDLE_MAX 64

/* All zero: none. */
struct uq_idle {
  struct pollfd sockets[UQ_IDLE_MAX];
  int count;
};

/* A connection has become idle. False: there are too many to look after. */
bool uq_idle_add(struct uq_idle *idle, int fd);

/* A connection is in use again, or closed. */
void uq_idle_remove(struct uq_idle *idle, int fd);

/* Has anything arrived on one of them? Those are shut down and forgotten. */
bool uq_idle_spoiled(struct uq_idle *idle);

#pragma GCC visibility pop

#endif
