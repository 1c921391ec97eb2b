/*
** transport.h - libcurl: pooled easy handles on one multi handle. A request
** goes in; status, a few headers and a capped body come out. Knows no Lua;
** nothing above it knows curl.
**
** Nothing here blocks but uq_transport_step, and that at most for its limit.
** No descriptor is opened before the first request. All calls on a transport
** must come from the process that made it: ask uq_transport_forked.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_HTTP_TRANSPORT_H
#define UQ_HTTP_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/base/buf.h"
#include "engine/base/error_kind.h"
#include "engine/http/latency.h"
#include "engine/http/response_headers.h"

#pragma GCC visibility push(hidden)

#define UQ_MESSAGE_MAX 256

/* AUTO: 1.1 up to the first request that is one of a crowd, then 2. */
enum uq_http_version { UQ_HTTP_AUTO, UQ_HTTP_1_1, UQ_HTTP_2 };

/* The strings are borrowed and must outlive the transport. NULL: not given. */
struct uq_transport_options {
  const char *ca_file;
  const char *ca_path;
  const char *pinned_public_key; /* "sha256//<base64>[;...]" */
  const char *proxy;             /* "": none, whatever the environment says */
  enum uq_http_version http_version;
  void (*done)(void *owner); /* told of each exchange that is finished; it must
                                not call the transport */
};

struct uq_request {
  void *owner; /* for done; it is told only as long as nobody takes or releases
                  the exchange */
  const char *url;
  const char *body; /* of a POST, borrowed until the exchange is released; NULL:
                       a GET */
  long timeout_ms;  /* for the whole attempt */
  long connect_timeout_ms;
  double silence; /* seconds without a byte after which a connection that was
                     used before may be given up; 0: it is not */
  bool fresh;     /* on a connection of its own */
  int endpoint;   /* a number below UQ_LATENCIES: how long the answers of one
                     take says nothing of the others */
  size_t max_response_bytes;
  bool crowd; /* there may be others at the same time */
};

/* What came of a request. It owns its memory; all zero: nothing yet. */
struct uq_response {
  enum uq_kind kind;  /* UQ_OK: a whole answer of any status came */
  bool outcome_unknown;          /* else: could the request have been carried out, or might
                         another try reach the server? */
  bool never_sent;        /* besides: libcurl has not even tried */
  bool dead;          /* besides: its connection was given up; it may be sent
                         again at once, ... */
  bool fresh;         /* ... on a new connection; also set if its connection
                         is broken but not closed yet */
  bool unframed;      /* the body has no announced length, and this libcurl
                         cannot tell its end from a cut */
  int status;         /* 0 when no status line came */
  struct uq_buf sent; /* the header block of the request */
  struct uq_buf body;
  struct uq_response_headers received;
  int curl_code; /* CURLcode, 0 when kind is UQ_OK */
  const char *curl_name;
  int os_errno;
  long connects;                /* connections opened for it */
  bool plain;                   /* it was sent without TLS */
  char message[UQ_MESSAGE_MAX]; /* why there is no answer, for people */
};

/* Wipes and frees what it owns; it is all zero again. */
void uq_response_free(struct uq_response *a);

/* Ends a message where the port seems to expect TLS, and got none. */
extern const char uq_tls_expected[];

struct uq_transport;
struct uq_transfer; /* one request and its answer */

/* NULL: out of memory. */
struct uq_transport *
uq_transport_new(const struct uq_transport_options *options);

/* Every exchange must have been released. In a forked child the handles are
** abandoned: nothing is written to the parent's connections. */
void uq_transport_free(struct uq_transport *t);

/* For a caller who has other work. At most so many connections at once;
** requests wait for them. 0: as many as there are requests. And a step leaves
** to the next ones what is still to do after so many seconds; 0: nothing. */
void uq_transport_limit(struct uq_transport *t, long connections, double turn);

/* Was the transport made by another process than this one? */
bool uq_transport_forked(const struct uq_transport *t);

/* An idle exchange with an empty header block. NULL: out of memory. */
struct uq_transfer *uq_transfer_acquire(struct uq_transport *t);

/* The header block to fill before the start: "name: value" lines, each with a
** NUL behind it. Wiped with the exchange, or with its answer. */
struct uq_buf *uq_transfer_headers(struct uq_transfer *x);

/* Sends the request. Failures of the start, too, show as a finished exchange.
 */
void uq_transfer_start(struct uq_transfer *x, const struct uq_request *r);

bool uq_transfer_done(const struct uq_transfer *x);

/* How often libcurl has sent the request again by itself so far; before libcurl
** 7.80, only the resends that needed a new connection. */
int uq_transfer_resends(const struct uq_transfer *x);

/* Moves the outcome of a finished exchange to an empty answer, and gives the
** exchange back. */
void uq_transfer_take(struct uq_transfer *x, struct uq_response *a);

/* Ends the time of an exchange in flight: it is finished as one that timed out,
** and its connection is judged as after any timeout. Nothing if it is not in
** flight. Not to be called by options.done. */
void uq_transfer_expire(struct uq_transfer *x);

/* Gives the exchange back; one in flight is cancelled, and its connection is
** never used for another request before that is safe; it is given up if it was
** silent for long. */
void uq_transfer_release(struct uq_transfer *x);

/* Waits at most limit_ms, and until `wake` on uq_clock (below 0: no limit), for
** the network, a notice or a signal, and lets the transfers in flight go on. */
void uq_transport_step(struct uq_transport *t, long limit_ms, double wake);

/* One descriptor for everything a step waits for: readable when a step has
** something to do. -1: there is none to be had. */
int uq_transport_fd(struct uq_transport *t);

/* After anything that may change when the next step is due, at the latest before
** others wait on the descriptor: it becomes readable then, at `wake` (below 0:
** for that never), and at once if notify is true. */
void uq_transport_publish(struct uq_transport *t, double wake, bool notify);

/* When the next step is due on uq_clock, whatever the descriptor says; below 0:
** not for its own sake. */
double uq_transport_due(const struct uq_transport *t);

/* Seconds from `now` on in which nothing is expected to come of the exchanges
** in flight, by the answers that came before; below 0: something has been
** expected for so long. HUGE_VAL: nothing at all is expected. */
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
