/*
** multi.h - curl's multi handle, with the poller that watches its sockets and
** the times at which it has something to do.
**
** The handle is opened for the first request. It may be closed and opened again
** while no request is in flight; the poller stays open, since others may wait
** on its descriptor. Knows no Lua.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_HTTP_MULTI_H
#define UQ_HTTP_MULTI_H

#include <curl/curl.h>
#include <stdbool.h>

#include "engine/event/poller.h"
#include "engine/http/liveness.h"

#pragma GCC visibility push(hidden)

/* Times are on uq_clock; below 0: not set. */
struct uq_multi {
  CURLM *handle; /* NULL: not open */
  struct uq_poller poller;
  bool poller_open;
  bool reuses_dead;        /* see uq_easy_handle_reuses_dead */
  unsigned generation;     /* of the process that owns it */
  unsigned sockets_closed; /* a count */
  double timer;            /* curl's */
  double sweep;            /* when uq_multi_sweep is due */
  bool sweep_again;        /* once more after that */
  double nudge;            /* when uq_http_version_nudge is due */
  double resent;  /* when libcurl last sent a request again over HTTP/2 */
  long cut_short; /* connections in use when one of them ended before it was
                     known what its handshake had agreed on; 0: none ended since
                     the last handshake */
  struct uq_liveness liveness;
};

/* The earlier of two times that may be below 0: not set. */
static inline double uq_earlier(double a, double b) {
  return b < 0 || (a >= 0 && a < b) ? a : b;
}

void uq_multi_init(struct uq_multi *m);

/* Opens poller and handle, unless they are open. 0 or an errno. */
int uq_multi_open(struct uq_multi *m);

/* Closes the handle with its connections. No request is in flight. */
void uq_multi_close(struct uq_multi *m);

/* Closes everything. */
void uq_multi_free(struct uq_multi *m);

/* True in a child of the process that made it: then nothing may be called but
** uq_poller_close. */
bool uq_multi_forked(const struct uq_multi *m);

/* Makes the easy handle of a request close its sockets as the multi handle's
** poller needs it. */
CURLcode uq_multi_prepare(struct uq_multi *m, CURL *easy);

/* When the handle next has something to do. */
double uq_multi_due(const struct uq_multi *m);

/* Before a request starts: closes the idle connections that libcurl would use
** although they were shut down. */
void uq_multi_clear_way(struct uq_multi *m);

/* Makes libcurl close dead connections, and start the requests that wait for a
** connection. It has no function for either. */
CURLMcode uq_multi_sweep(struct uq_multi *m);

/* Takes the events of resting descriptors out of `events`, and gives up the
** connections that they say have ended. Returns how many events are left. */
int uq_multi_take_resting(struct uq_multi *m, struct uq_event *events,
                          int count);

#pragma GCC visibility pop

#endif
