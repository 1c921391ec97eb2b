/*
** liveness.h - which connections are dead although nothing says so, and which
** requests are sent again because of that. Knows no Lua, and of curl only what
** an easy handle says of its transfer.
**
** - The peer does not acknowledge bytes: the connection is dead.
** - A request was sent on a connection that had been used before, and nothing
**   has come for its share of the time, nor for longer than recent responses
**   took: only this request is sent again, on a new connection. If the server
**   responds there, or sends nothing for as long again, the connection is dead.
** - A request has timed out or was cancelled after long silence: the connection
**   is dead for the others, too.
** When a connection is given up, so are those without a request that were last
** heard from before the request was sent.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_HTTP_LIVENESS_H
#define UQ_HTTP_LIVENESS_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>

#include "engine/http/connections.h"
#include "engine/http/latency.h"

#pragma GCC visibility push(hidden)

/* A request, from its start to its end. Times are seconds on uq_clock. */
struct uq_pending {
  struct uq_liveness *liveness; /* these four never change */
  struct uq_transfer *transfer; /* that it belongs to */
  CURL *easy;
  const struct uq_response_headers *received;
  /* uq_liveness_idle reads the next five of each request: kept together */
  struct uq_pending *next;    /* among those in flight */
  struct uq_latency *latency; /* of its endpoint */
  double sent;                /* when it was last sent; 0: it was not */
  double begun;
  bool reports_sent; /* libcurl calls back when the request is sent */
  struct uq_pending *prev;
  double deadline;   /* 0: none */
  double silence;    /* see uq_request */
  double first_sent; /* 0: it was not sent */
  int resends;       /* how often libcurl has sent it again by itself */
  bool exhausted;    /* libcurl wanted to do so once more, and must not */
  bool reused;       /* it was sent on a connection opened for another one */
  int fd;            /* of its connection, when that was last asked for */
  bool multiplexed;  /* it offers HTTP/2: others may be on its connection */
  bool fresh;        /* see uq_response */
  const char *dead;  /* why it was given up; NULL: it was not */
};

/* What a transport knows of its connections and requests. Times are seconds on
** uq_clock. */
struct uq_liveness {
  struct uq_pending *requests; /* in flight */
  size_t in_flight;            /* how many they are */
  struct uq_connections connections;
  struct uq_latency latencies[UQ_LATENCIES]; /* by endpoint */
  long limit;         /* of connections at once; 0: none */
  double now;         /* in the current step */
  double check;       /* when to look for dead connections; below 0: never */
  double responded;   /* when the last response came */
  double answered;    /* when the request was sent that was sent last of those
                         with a response other than a refusal */
  double tried_fresh; /* when one was last sent again on a new connection */
  bool awaits_fresh;  /* a request waits for the result of that */
  bool doomed;        /* requests are to be finished: see uq_pending_fault */
  int closed;         /* resends since a response last came on a connection
                         that was used before */
  double waited_in_vain; /* seconds that requests have waited since the last
                            response, all of them on connections used before */
};

void uq_liveness_init(struct uq_liveness *l);
void uq_liveness_free(struct uq_liveness *l);

/* Has dead connections looked for at that time, or before. */
void uq_liveness_check_at(struct uq_liveness *l, double when);

/* Looks for dead connections if that is due. */
void uq_liveness_check(struct uq_liveness *l);

/* Seconds from `now` on in which hardly any response can come to the requests
** in flight. To one that was not sent, and to one whose endpoint's response
** times are not known, it may have come since its start. HUGE_VAL: none is in
** flight. */
double uq_liveness_idle(const struct uq_liveness *l, double now);

/* A new request to an endpoint, with a timeout in seconds; 0: none. */
void uq_pending_init(struct uq_pending *p, int endpoint, double timeout,
                     double silence);

/* It is in flight, until uq_pending_end. */
void uq_pending_begin(struct uq_pending *p);
void uq_pending_end(struct uq_pending *p);

/* True if libcurl may send the request once more by itself; else the request is
** exhausted. libcurl sends again when a connection was closed before the first
** byte of a response, and when the server refuses the stream, GOAWAY included:
** up to five times, without a pause. It may do so once; twice if both
** connections had been used before; and more often while the server responds to
** other requests, since then it only lacks room on a connection. Later resends
** are the caller's, with its pauses. (README.md, Retries.) */
bool uq_pending_may_resend(struct uq_pending *p);

/* libcurl is about to send the request. False if it must not. */
bool uq_pending_sent(struct uq_pending *p);

/* Counts a resend. uq_pending_sent does that itself, if it is called. */
void uq_pending_resent(struct uq_pending *p);

/* The descriptor of its connection; -1: not known. */
int uq_pending_connection(struct uq_pending *p);

/* The request has failed. Over HTTP/2 libcurl may keep its connection in use,
** so that is given up: at once if the session is broken or no other request is
** on it, else as soon as no request is. True if the connection stays open and
** this is the first request to fail on it: the next attempt must avoid it. */
bool uq_pending_failed(struct uq_pending *p, bool broken);

/* Its response has come, a refusal or not. */
void uq_pending_answered(const struct uq_pending *p, bool refused);

/* It has ended without a response: it was cancelled, or has timed out. Decides
** if its connection (over HTTP/1.1 libcurl closes it) and those without a
** request are given up. */
void uq_pending_left(struct uq_pending *p, bool cancelled);

/* Why the request is to be finished: it was given up, or its connection was.
** NULL: it is not. */
const char *uq_pending_fault(struct uq_pending *p);

#pragma GCC visibility pop

#endif
