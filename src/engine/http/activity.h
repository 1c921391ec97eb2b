/*
** activity.h - what is known of each open connection: when it was last heard
** from, and for how long requests have waited on it since. Indexed by
** descriptor. Knows no Lua and no curl.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_HTTP_ACTIVITY_H
#define UQ_HTTP_ACTIVITY_H

#include <stdbool.h>

#define UQ_ADDRESS_TEXT 46 /* of IPv6 */

#pragma GCC visibility push(hidden)

/* True if the descriptor is a connection, open or being opened; false for one
** of libcurl's own: a pipe to a thread, or to wake it. */
bool uq_activity_is_connection(int fd);

/* Times are seconds on uq_clock. */
struct uq_connection {
  double opened; /* 0: not open */
  double heard;  /* when something last came, or it was opened */
  double used;   /* in use since then, or since heard; 0: idle */
  double waited; /* seconds in use before that and after heard */
  int port;      /* the local one; 0: not known */
  char address[UQ_ADDRESS_TEXT]; /* the local one; "": not known */
  bool shut;                     /* given up: its owner finds it dead */
  bool doubted;                  /* to be given up when it is idle */
};

/* All zero: none. */
struct uq_activity {
  struct uq_connection *connections; /* by descriptor */
  int room;
  int shut; /* how many of them were given up */
};

void uq_activity_free(struct uq_activity *a);

/* The connection is in use; a new one is open from now on. Without the memory
** to watch it, it is not watched. */
void uq_activity_use(struct uq_activity *a, int fd, double now);

/* No request waits on it any more. A doubted connection is given up. */
void uq_activity_rest(struct uq_activity *a, int fd, double now);

/* Something has come on it. */
void uq_activity_touch(struct uq_activity *a, int fd, double now);

/* It is closed. */
void uq_activity_close(struct uq_activity *a, int fd);

/* The open connection from this local port, which is of this address if there
** are several; -1: none, or it cannot be told. */
int uq_activity_find(const struct uq_activity *a, int port,
                     const char *address);

/* What is known of a descriptor; NULL: it is not watched. */
const struct uq_connection *uq_activity_of(const struct uq_activity *a, int fd);

/* Seconds that requests have waited on it since it was last heard from. */
double uq_activity_waited(const struct uq_connection *c, double now);

/* Marks a connection, to be given up as soon as it is idle. */
void uq_activity_doubt(struct uq_activity *a, int fd);

/* Gives a connection up: shuts it down, for its owner to find it dead. */
void uq_activity_shut(struct uq_activity *a, int fd);

/* Was an idle one given up that its owner has not closed yet? */
bool uq_activity_has_dead(const struct uq_activity *a);

/* The number of those in use. */
long uq_activity_count(const struct uq_activity *a);

/* True if the peer has ended or reset the connection. */
bool uq_activity_ended(int fd);

/* True if the system can tell, and the peer has acknowledged nothing for so
** many seconds although bytes were sent to it again and again. */
bool uq_activity_stuck(int fd, double seconds);

#pragma GCC visibility pop

#endif
