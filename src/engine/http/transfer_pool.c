/*
** transfer_pool.c - see transfer_pool.h.
**
** curl's callbacks only take notes and copy: they call nothing of curl but the
** getters and setters of their own handle, and no code of a higher layer.
** SPDX-License-Identifier: MIT
*/
#include "engine/http/transfer_pool.h"

#include <curl/curl.h>
#include <errno.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif
#include <stdlib.h>
#include <sys/socket.h>

#include "engine/base/buf.h"
#include "engine/base/error_kind.h"
#include "engine/http/easy_handle.h"
#include "engine/http/http_version.h"
#include "engine/http/liveness.h"
#include "engine/http/multi.h"
#include "engine/http/process.h"
#include "engine/http/response_headers.h"
#include "engine/http/transfer.h"
#include "engine/http/transfer_error.h"
#include "engine/http/transport_state.h"

#define MAX_FREE 128 /* transfers kept; over HTTP/2 90 KiB each */
#define BURST 1024   /* transfers that leave enough memory to give back */

/* Newer than the headers may be: by number. An older libcurl refuses them. */
#define PREREQFUNCTION \
  ((CURLoption)(CURLOPTTYPE_FUNCTIONPOINT + 312)) /* 7.80 */
#define PREREQDATA ((CURLoption)(CURLOPTTYPE_OBJECTPOINT + 313))
#define PREREQ_OK 0
#define PREREQ_ABORT 1

/* ------------------------------------------------------------------------ */
/* curl's callbacks                                                          */
/* ------------------------------------------------------------------------ */

/* Drops what has come of a response, since libcurl sends the request again:
** over HTTP/1.1 if the server demands that with the error HTTP_1_1_REQUIRED. */
static void drop_response(struct uq_transfer *x) {
  uq_buf_clear(&x->body);
  uq_response_headers_clear(&x->received);
}

/* libcurl opens a connection: true if that is to send a request again that must
** not be sent again. Before libcurl 7.80 resends are counted here. */
static bool is_exhausted(struct uq_transfer *x) {
  struct uq_pending *p = &x->pending;
  long size = 0;
  if (p->reports_sent)
    return p->sent > 0 && !uq_pending_may_resend(p);
  curl_easy_getinfo(x->easy, CURLINFO_REQUEST_SIZE, &size);
  if (size <= x->request_size) /* or another address of the same host */
    return p->exhausted;
  x->request_size = size;
  if (!uq_pending_may_resend(p))
    return true;
  uq_pending_resent(p);
  drop_response(x);
  return false;
}

/* Opens a socket as libcurl would, which does not tell why it cannot. */
static curl_socket_t on_open_socket(void *transfer, curlsocktype type,
                                    struct curl_sockaddr *address) {
  struct uq_transfer *x = transfer;
  int kind = address->socktype;
  (void)type;
#if defined(SOCK_CLOEXEC)
  kind |= SOCK_CLOEXEC;
#endif
  if (is_exhausted(x))
    return CURL_SOCKET_BAD;
  int fd = socket(address->family, kind, address->protocol);
  if (fd < 0)
    x->socket_errno = errno;
  return fd < 0 ? CURL_SOCKET_BAD : fd;
}

/* Stops the transfer: the result for a callback to return. */
static size_t refuse_bytes(struct uq_transfer *x, enum uq_kind kind,
                           const char *why) {
  x->refused = kind;
  x->refused_why = why;
  return 0;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *transfer) {
  struct uq_transfer *x = transfer;
  switch (uq_buf_append(&x->body, bytes, size * n)) {
  case UQ_BUF_OK:
    return size * n;
  case UQ_BUF_FULL:
    return refuse_bytes(x, UQ_TOO_LARGE, uq_body_too_large);
  default:
    return refuse_bytes(x, UQ_MEMORY, "not enough memory");
  }
}

static size_t on_header(char *line, size_t size, size_t n, void *transfer) {
  struct uq_transfer *x = transfer;
  bool trailer = x->body.len > 0;
  if (uq_response_headers_line(&x->received, line, size * n, !trailer))
    return size * n;
  return refuse_bytes(x, UQ_TOO_LARGE, "the response headers are too large");
}

/* The request is about to be sent. */
static int on_request(void *transfer, char *to, char *from, int to_port,
                      int from_port) {
  struct uq_transfer *x = transfer;
  (void)to, (void)from, (void)to_port, (void)from_port;
  if (!uq_pending_sent(&x->pending))
    return PREREQ_ABORT;
  drop_response(x);
  uq_http_version_sent(&x->transport->versions, &x->transport->multi,
                       &x->pending);
  return PREREQ_OK;
}

/* ------------------------------------------------------------------------ */
/* the pool                                                                  */
/* ------------------------------------------------------------------------ */

/* After a burst its memory goes back to the system, as README.md (HTTP/2) says.
** glibc by itself keeps all that lies between blocks in use. */
static void trim_memory(struct uq_transport *t) {
  if (t->pool.count > MAX_FREE || t->pool.peak < BURST)
    return;
  t->pool.peak = t->pool.count;
#if defined(__GLIBC__)
  (void)malloc_trim(0);
#endif
}

static void free_transfer(struct uq_transfer *x) {
  struct uq_transport *t = x->transport;
  curl_easy_cleanup(x->easy);
  curl_url_cleanup(x->url);
  uq_buf_free(&x->headers);
  uq_buf_free(&x->body);
  free(x->url_text);
  uq_wipe(x, sizeof *x); /* headers of a response may quote a token */
  free(x);
  t->pool.count--;
  trim_memory(t);
}

void uq_transfer_pool_free(struct uq_transport *t) {
  struct uq_sigpipe guard;
  uq_sigpipe_hold(&guard);
  while (t->pool.free != NULL) {
    struct uq_transfer *x = t->pool.free;
    t->pool.free = x->next;
    free_transfer(x);
  }
  uq_sigpipe_release(&guard);
}

static CURLcode set_callbacks(struct uq_transfer *x) {
  CURL *easy = x->easy;
  UQ_SET(easy, CURLOPT_PRIVATE, x);
  UQ_SET(easy, CURLOPT_ERRORBUFFER, x->error);
  UQ_SET(easy, CURLOPT_WRITEFUNCTION, on_body);
  UQ_SET(easy, CURLOPT_WRITEDATA, x);
  UQ_SET(easy, CURLOPT_HEADERFUNCTION, on_header);
  UQ_SET(easy, CURLOPT_HEADERDATA, x);
  UQ_SET(easy, CURLOPT_HTTPHEADER, x->lines);
  UQ_SET(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
  UQ_SET(easy, CURLOPT_OPENSOCKETDATA, x);
  (void)curl_easy_setopt(easy, PREREQDATA, x);
  x->pending.reports_sent =
      curl_easy_setopt(easy, PREREQFUNCTION, on_request) == CURLE_OK;
  CURLcode code = uq_multi_prepare(&x->transport->multi, easy);
  if (code == CURLE_OK)
    code = uq_http_version_prepare(&x->transport->versions, easy);
  return code;
}

static struct uq_transfer *new_transfer(struct uq_transport *t) {
  struct uq_transfer *x = calloc(1, sizeof *x);
  if (x == NULL)
    return NULL;
  x->transport = t;
  x->pending.liveness = &t->multi.liveness;
  x->pending.transfer = x;
  x->pending.received = &x->received;
  if (++t->pool.count > t->pool.peak)
    t->pool.peak = t->pool.count;
  uq_buf_init(&x->headers, UQ_REQUEST_HEADERS_MAX);
  uq_buf_init(&x->body, 0);
  x->easy = x->pending.easy = curl_easy_init();
  x->url = curl_url();
  if (x->easy == NULL || x->url == NULL) {
    free_transfer(x);
    return NULL;
  }
  x->setup = uq_easy_handle_setup(x->easy, &t->options);
  if (x->setup == CURLE_OK)
    x->setup = set_callbacks(x);
  return x;
}

struct uq_transfer *uq_transfer_pool_get(struct uq_transport *t) {
  struct uq_transfer *x = t->pool.free;
  if (x == NULL)
    return new_transfer(t);
  t->pool.free = x->next;
  t->pool.free_count--;
  x->next = NULL;
  return x;
}

/* In a forked child nothing is freed: the parent's multi handle has it. */
void uq_transfer_pool_put(struct uq_transfer *x, bool reusable) {
  struct uq_transport *t = x->transport;
  bool is_full = t->pool.free_count >= MAX_FREE && !uq_multi_forked(&t->multi);
  if (!reusable || is_full) {
    free_transfer(x);
    return;
  }
  uq_buf_clear(&x->headers);
  uq_buf_clear(&x->body);
  x->done = false;
  x->next = t->pool.free;
  t->pool.free = x;
  t->pool.free_count++;
}
