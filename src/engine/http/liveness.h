/*
** liveness.h - which connections have died without a word, and which requests
** are to be sent again because of that. Knows no Lua, and of curl only what a
** transfer says of itself.
**
** What is known decides:
** - The peer does not acknowledge bytes: the connection is dead.
** - A request went out on a connection that was used before, and nothing has
**   come for its share of the time, nor for longer than recent answers took:
**   only this request is sent again, on a fresh connection. If the server
**   answers there, or says nothing for as long again, the connection is dead.
** - A request has run out of time or was cancelled after long silence: the
**   others need not find out for themselves.
** With a connection go the idle ones that were last heard from before the
** request went out on it.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_HTTP_LIVENESS_H
#define UQ_HTTP_LIVENESS_H

#include <curl/curl.h>
#include <stdbool.h>

#include "engine/http/activity.h"
#include "engine/http/idle_connections.h"
#include "engine/http/latency.h"
#include "engine/http/response_headers.h"

#pragma GCC visibility push(hidden)

/* A request, from its start to its end. Times are seconds on uq_clock. */
struct uq_pending {
  struct uq_liveness *liveness; /* these four never change */
  struct uq_transfer *exchange; /* that it belongs to */
  CURL *easy;
  const struct uq_response_headers *received;
  /* uq_liveness_idle looks at these five of each: for speed, side by side */
  struct uq_pending *next;    /* among those in flight */
  struct uq_latency *latency; /* of its endpoint */
  double sent;                /* when it went out; 0: it has not */
  double begun;
  bool told; /* libcurl tells when it goes out */
  struct uq_pending *prev;
  double deadline;  /* 0: none */
  double silence;   /* see uq_request */
  double first;     /* when it first went out */
  int resends;      /* how often libcurl has sent it again by itself */
  bool exhausted;   /* libcurl wanted to do so once more, and must not */
  bool kept;        /* no connection was opened for it so far */
  int fd;           /* of its connection, when that was last asked for */
  bool multiplexed; /* over HTTP/2: its connection may be others', too */
  bool fresh;       /* if it was given up: see uq_response */
  const char *dead; /* why it was given up; NULL: it was not */
};

/* What a transport knows of its connections. */
struct uq_liveness {
  struct uq_pending *requests;     /* in flight */
  struct uq_idle_connections idle; /* connections of HTTP/1.1 */
  struct uq_activity activity;
  struct uq_latency latencies[UQ_LATENCIES];
  long limit;       /* of connections at once; 0: none */
  double now;       /* in the current step */
  double check;     /* when to look for dead connections; below 0: never */
  double answer_at; /* when the last answer came */
  double answered;  /* the latest time at which an answered request went out */
  double tried;   /* when one was last sent again to see if the server lives */
  bool trying;    /* nothing is known of that yet */
  bool doomed;    /* requests are to be finished: see uq_pending_fault */
  int closed;     /* resends since a kept connection last gave an answer */
  double in_vain; /* seconds that requests waited without an answer, all of
                     them on connections used before, since the last one */
};

void uq_liveness_init(struct uq_liveness *l);
void uq_liveness_free(struct uq_liveness *l);

/* Looks for dead connections at that time, if not before. */
void uq_liveness_check_at(struct uq_liveness *l, double when);

/* Looks for them if the time has come. */
void uq_liveness_check(struct uq_liveness *l);

/* Seconds from `now` on in which hardly any answer can come to the requests in
** flight. One that has not gone out may be answered since its beginning, as may
** one to an endpoint whose answers are not known. HUGE_VAL: none is in flight.
*/
double uq_liveness_idle(const struct uq_liveness *l, double now);

/* A new request to an endpoint, that has so many seconds; 0: any number. */
void uq_pending_init(struct uq_pending *p, int endpoint, double timeout,
                     double silence);

/* It is in flight, until uq_pending_end. */
void uq_pending_begin(struct uq_pending *p);
void uq_pending_end(struct uq_pending *p);

/* True if libcurl may send the request once more by itself; else the request is
** exhausted. libcurl sends again when a connection was closed before the first
** byte of an answer, and when the server refuses the stream, GOAWAY included:
** up to five times, without a pause. It may do so once; twice if both
** connections were kept ones; and more often while the server answers other
** requests, since then it only lacks room on a connection. Later resends are
** the caller's, with its pauses. */
bool uq_pending_may_resend(struct uq_pending *p);

/* libcurl tells that the request goes out now. Returns false if it must not. */
bool uq_pending_sent(struct uq_pending *p);

/* Counts a resend. uq_pending_sent does that itself, where libcurl tells. */
void uq_pending_resent(struct uq_pending *p);

/* The descriptor of its connection; -1: not known. */
int uq_pending_connection(struct uq_pending *p);

/* The request has failed; over HTTP/2 libcurl may keep its connection in use,
** so that is given up: at once if it is broken for sure or no other request is
** on it, else when it is idle. True if the connection stays open and this is
** the first request to find the fault: the next attempt must avoid it. */
bool uq_pending_failed(struct uq_pending *p, bool broken);

/* Its answer has come: what was asked for, or a refusal. */
void uq_pending_answered(const struct uq_pending *p, bool refused);

/* It has ended without an answer: it was cancelled, or has run out of time.
** Decides what becomes of its connection (over HTTP/1.1 libcurl closes it) and
** of the idle ones. */
void uq_pending_left(struct uq_pending *p, bool cancelled);

/* Why the request is to be finished: it was given up, or its connection was;
** NULL: it is not. */
const char *uq_pending_fault(struct uq_pending *p);

#pragma GCC visibility pop

#endif
