/*
** transfer.h - one request and its response: a pooled easy handle of libcurl.
** A request goes in; status, a few headers and a body of limited size come out.
** Knows no Lua; code above it knows no curl. All calls must come from the
** process that made the transport.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_HTTP_TRANSFER_H
#define UQ_HTTP_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/base/buf.h"
#include "engine/base/error_kind.h"
#include "engine/http/response_headers.h"

#pragma GCC visibility push(hidden)

#define UQ_MESSAGE_MAX 256
#define UQ_REQUEST_HEADERS_MAX 65536 /* bytes, all lines together */

struct uq_transport;
struct uq_transfer;

struct uq_request {
  void *owner; /* for options.done; NULL: it is not called */
  const char *url;
  const char *body; /* of a POST, borrowed until the transfer is released; NULL:
                       a GET */
  long timeout_ms;  /* for the whole attempt; 0: none */
  long connect_timeout_ms;
  double silence; /* seconds without a byte after which a connection that was
                     used before may be given up; 0: it is not */
  bool fresh;     /* on a new connection */
  int endpoint;   /* a number below UQ_LATENCIES: response times are learned for
                     each */
  size_t max_response_bytes;
  bool concurrent; /* there may be others at the same time */
};

/* The result of a request. It owns its memory; all zero: none yet. */
struct uq_response {
  enum uq_kind kind;    /* UQ_OK: a whole response of any status came */
  bool outcome_unknown; /* else: the request may have been carried out, or
                           another try may reach the server */
  bool never_sent;      /* else: libcurl has not even tried to send it */
  bool dead;            /* else: its connection was given up; the request may be
                           sent again at once */
  bool fresh; /* the next attempt must use a new connection, since this one's is
                 broken but not closed yet */
  bool unframed;      /* the body has no announced length, and this libcurl
                         cannot tell its end from a cut */
  int status;         /* 0: no status line came */
  struct uq_buf sent; /* the header block of the request */
  struct uq_buf body;
  int curl_code; /* CURLcode, 0 when kind is UQ_OK */
  const char *curl_name;
  int os_errno;
  long connects;                       /* connections opened for it */
  bool plain;                          /* it was sent without TLS */
  struct uq_response_headers received; /* these two are texts */
  char message[UQ_MESSAGE_MAX]; /* why there is no response, for people */
};

/* Wipes and frees what it owns; it is all zero again. */
void uq_response_free(struct uq_response *r);

/* The end of a message that says that the port seems to expect TLS. */
extern const char uq_tls_expected[];

/* An idle transfer with an empty header block. NULL: out of memory. */
struct uq_transfer *uq_transfer_acquire(struct uq_transport *t);

/* The header block to fill before the start: "name: value" lines, each with a
** NUL behind it. Wiped with the transfer, or with its response. */
struct uq_buf *uq_transfer_headers(struct uq_transfer *x);

/* Sends the request. A failure to start shows as a finished transfer. */
void uq_transfer_start(struct uq_transfer *x, const struct uq_request *r);

bool uq_transfer_done(const struct uq_transfer *x);

/* How often libcurl has sent the request again by itself so far; before libcurl
** 7.80, only the resends that needed a new connection. */
int uq_transfer_resends(const struct uq_transfer *x);

/* Moves the result of a finished transfer to an empty response, and releases
** the transfer. */
void uq_transfer_take(struct uq_transfer *x, struct uq_response *r);

/* Times a transfer in flight out: it is finished, and its connection is judged
** as after any timeout. Nothing happens to one that is not in flight. Not to be
** called by options.done. */
void uq_transfer_expire(struct uq_transfer *x);

/* Gives the transfer back. One in flight is cancelled: libcurl does not use its
** connection before that is safe; one that was silent for long is given up. */
void uq_transfer_release(struct uq_transfer *x);

#pragma GCC visibility pop

#endif
