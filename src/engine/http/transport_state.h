/*
** transport_state.h - the insides of a transport and its transfers, for the
** files that implement them.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_HTTP_TRANSPORT_STATE_H
#define UQ_HTTP_TRANSPORT_STATE_H

#include <curl/curl.h>
#include <stdbool.h>

#include "engine/base/buf.h"
#include "engine/base/error_kind.h"
#include "engine/http/http_version.h"
#include "engine/http/liveness.h"
#include "engine/http/multi.h"
#include "engine/http/response_headers.h"
#include "engine/http/transport_options.h"

#pragma GCC visibility push(hidden)

/* Lines of a request's header block, and the one that drops curl's Accept. */
#define UQ_REQUEST_LINES 8

struct uq_transport {
  struct uq_transport_options options;
  struct uq_multi multi;
  struct uq_versions versions;
  struct {
    struct uq_transfer *free; /* linked by next */
    int free_count;
    int count; /* of all transfers */
    int peak;  /* the highest count since memory was given back */
  } pool;
  double slice; /* seconds of a step; 0: no limit */
  double wake;  /* the caller's, on uq_clock; below 0: not set */
  struct uq_transport *next_abandoned;
};

/* Limits of a transfer as its easy handle has them; 0: none. */
struct uq_limits {
  long timeout_ms, connect_timeout_ms;
  long bytes; /* of the response */
};

struct uq_transfer {
  struct uq_transport *transport;
  struct uq_transfer *next; /* in the pool */
  void *owner;              /* see uq_request */
  CURL *easy;
  CURLU *url;
  char *url_text; /* from which url was parsed */
  bool encrypted; /* the URL is an https one */
  struct uq_buf headers;
  struct curl_slist lines[UQ_REQUEST_LINES]; /* into headers */
  struct uq_buf body;
  struct uq_response_headers received;
  struct uq_pending pending;
  struct uq_limits limits; /* set by the last request */
  enum uq_kind refused;    /* why a callback has stopped it; UQ_OK: none has */
  const char *refused_why; /* for people */
  int start_errno;         /* why libcurl was not given the request; or 0 */
  int socket_errno;        /* why a socket could not be opened; or 0 */
  long request_size;       /* bytes sent when the last socket was opened */
  bool started;            /* libcurl was given the request */
  bool in_multi;
  bool done;
  CURLcode setup; /* not CURLE_OK: the handle must not be used */
  CURLcode code;  /* when done */
  char error[CURL_ERROR_SIZE];
};

/* The following are of transfer.c, for transport.c. */

/* Finishes a transfer, and calls options.done with its owner. */
void uq_transfer_finish(struct uq_transfer *x, CURLcode code);

/* libcurl has finished the transfer with this code. */
void uq_transfer_complete(struct uq_transfer *x, CURLcode code);

/* Finishes the transfers whose connections were given up. */
void uq_transfers_finish_doomed(struct uq_transport *t);

#pragma GCC visibility pop

#endif
