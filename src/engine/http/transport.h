/*
** transport.h - the transfers of one client, on one multi handle of libcurl,
** and one descriptor to wait for all of them. Knows no Lua; code above it knows
** no curl.
**
** Nothing here blocks but uq_transport_step, and that at most for its limit. No
** descriptor is opened before the first request. All calls on a transport must
** come from the process that made it: see uq_transport_forked.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_HTTP_TRANSPORT_H
#define UQ_HTTP_TRANSPORT_H

#include <stdbool.h>

#include "engine/http/transport_options.h"

#pragma GCC visibility push(hidden)

struct uq_transport;

/* NULL: out of memory. */
struct uq_transport *
uq_transport_new(const struct uq_transport_options *options);

/* Every transfer must have been released. In a forked child the handles are
** abandoned: nothing is written to the parent's connections. */
void uq_transport_free(struct uq_transport *t);

/* For callers that share their thread. Opens at most so many connections at
** once, and lets requests wait for them; 0: no limit. A step ends after `slice`
** seconds, and the next one does the rest; 0: it does everything. */
void uq_transport_limit(struct uq_transport *t, long connections, double slice);

/* True in a child of the process that made the transport. */
bool uq_transport_forked(const struct uq_transport *t);

/* Waits at most limit_ms, and until `wake` on uq_clock (below 0: no limit), for
** the network, a notice or a signal, and advances the transfers in flight. */
void uq_transport_step(struct uq_transport *t, long limit_ms, double wake);

/* One descriptor for everything a step waits for: readable when a step has
** something to do. -1: none can be had. */
int uq_transport_fd(struct uq_transport *t);

/* To be called after anything that may change when the next step is due, before
** others wait on the descriptor. The descriptor becomes readable then, at
** `wake` (below 0: never because of that), and at once if notify is true. */
void uq_transport_publish(struct uq_transport *t, double wake, bool notify);

/* When the transport next has something to do by itself, on uq_clock, whatever
** the descriptor says; below 0: never. */
double uq_transport_due(const struct uq_transport *t);

/* Seconds from `now` on in which a step has nothing to do, as far as the times
** of earlier responses tell; below 0: it has had something to do for so long.
** HUGE_VAL: no request is in flight. */
double uq_transport_idle(const struct uq_transport *t, double now);

struct uq_transport_info {
  char libcurl[32];
  char tls[64];
  const char *ca_file; /* libcurl's defaults; NULL: none or not known */
  const char *ca_path;
  const char *poller;
  bool http2;
  bool async_dns;
};

void uq_transport_info(struct uq_transport_info *info);

#pragma GCC visibility pop

#endif
