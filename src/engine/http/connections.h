/*
** connections.h - the open connections of a transport, by descriptor: when each
** was last heard from, how long requests have waited on it since, which ones
** are idle, which ones were given up. Knows no Lua and no curl.
**
** Bytes that arrive on an idle connection of HTTP/1.1 belong to no request:
** they are the end of the connection, or the rest of something else, and would
** be taken for the next response. So such a connection is shut down. Over
** HTTP/2 the server may send at any time.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_HTTP_CONNECTIONS_H
#define UQ_HTTP_CONNECTIONS_H

#include <stdbool.h>

#define UQ_ADDRESS_TEXT 46 /* INET6_ADDRSTRLEN */

#pragma GCC visibility push(hidden)

/* Times are seconds on uq_clock. */
struct uq_connection {
  struct uq_connection *next, *prev; /* among the open ones */
  int fd;
  int port;                      /* the local one; 0: not known */
  char address[UQ_ADDRESS_TEXT]; /* the local one; "": not known */
  double opened;
  double heard;  /* when bytes last came, or when it was opened */
  double used;   /* when it came into use, or bytes last came while it was in
                    use; 0: no request is on it */
  double waited; /* seconds in use after `heard` and before `used` */
  bool idle;     /* of HTTP/1.1, and no request is on it */
  bool shut;     /* given up: shut down, and not closed by libcurl yet */
  bool doubted;  /* to be given up as soon as no request is on it */
};

/* All zero: there are none. */
struct uq_connections {
  struct uq_connection *first;  /* of the open ones */
  struct uq_connection **by_fd; /* `room` of them; NULL: not open */
  int room;
  int idle_count;
  int shut_count;
  double idle_checked; /* when all idle ones were last found silent; 0: one was
                          not looked at yet */
};

void uq_connections_free(struct uq_connections *cs);

/* True if the descriptor is a connection, open or being opened; false for one
** of libcurl's own: a pipe to a thread, or to wake it. */
bool uq_connection_is_inet(int fd);

/* A request is on the connection. A descriptor that is not known is a new
** connection; without memory for it, it stays unknown. */
void uq_connections_use(struct uq_connections *cs, int fd, double now);

/* No request is on it any more; idle: it is one of HTTP/1.1. A doubted one is
** given up, and so is an idle one that is not known for want of memory. */
void uq_connections_rest(struct uq_connections *cs, int fd, double now,
                         bool idle);

/* Bytes have come on it. */
void uq_connections_touch(struct uq_connections *cs, int fd, double now);

/* Its descriptor is being closed. */
void uq_connections_close(struct uq_connections *cs, int fd);

/* NULL: the descriptor is not a known connection. */
const struct uq_connection *uq_connections_of(const struct uq_connections *cs,
                                              int fd);

/* The descriptor of the connection from this local port, which is of this
** address if there are several; -1: none, or it cannot be told. */
int uq_connections_find(const struct uq_connections *cs, int port,
                        const char *address);

/* The number of those that are in use. */
long uq_connections_in_use(const struct uq_connections *cs);

/* Seconds that requests have waited on it since it was last heard from. */
double uq_connection_waited(const struct uq_connection *c, double now);

/* Marks a connection to be given up as soon as no request is on it. */
void uq_connections_doubt(struct uq_connections *cs, int fd);

/* Gives a connection up: shuts it down, so that libcurl finds it dead. Bytes
** that have arrived on one without a request are dropped, since libcurl takes a
** connection with unread bytes of TLS to be alive. */
void uq_connections_shut(struct uq_connections *cs, int fd);

/* Gives up those without a request that were last heard from before then. */
void uq_connections_shut_unused(struct uq_connections *cs, double before);

/* Gives up the idle ones on which bytes have arrived. True if there were any.
** Looks at most once a millisecond. */
bool uq_connections_shut_spoiled(struct uq_connections *cs, double now);

/* True if one without a request was given up, and is not closed yet. */
bool uq_connections_have_dead(const struct uq_connections *cs);

/* True if the peer has ended or reset the connection. */
bool uq_connection_has_ended(int fd);

/* True if the system knows that the peer has acknowledged nothing for so many
** seconds although bytes were sent to it several times. */
bool uq_connection_is_stuck(int fd, double seconds);

#pragma GCC visibility pop

#endif
