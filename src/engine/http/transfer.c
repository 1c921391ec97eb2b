/*
** transfer.c - see transfer.h.
** SPDX-License-Identifier: MIT
*/
#define _GNU_SOURCE /* strdup */
#include "engine/http/transfer.h"

#include <curl/curl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/ascii.h"
#include "engine/base/buf.h"
#include "engine/base/clock.h"
#include "engine/http/connections.h"
#include "engine/http/easy_handle.h"
#include "engine/http/http_version.h"
#include "engine/http/liveness.h"
#include "engine/http/multi.h"
#include "engine/http/process.h"
#include "engine/http/response_headers.h"
#include "engine/http/transfer_error.h"
#include "engine/http/transfer_pool.h"
#include "engine/http/transport_options.h"
#include "engine/http/transport_state.h"
#include "engine/http/url.h"

/* ------------------------------------------------------------------------ */
/* start                                                                     */
/* ------------------------------------------------------------------------ */

struct uq_transfer *uq_transfer_acquire(struct uq_transport *t) {
  return uq_transfer_pool_get(t);
}

struct uq_buf *uq_transfer_headers(struct uq_transfer *x) {
  return &x->headers;
}

/* The list that curl takes, laid over the header block. */
static CURLcode link_headers(struct uq_transfer *x) {
  static char no_accept[] = "Accept:"; /* curl's own line is left out */
  struct curl_slist *line = x->lines;
  line->data = no_accept;
  for (size_t at = 0; at < x->headers.len;) {
    if (line == &x->lines[UQ_REQUEST_LINES - 1])
      return CURLE_BAD_FUNCTION_ARGUMENT;
    line->next = line + 1;
    line++;
    line->data = x->headers.data + at;
    at += strlen(line->data) + 1;
  }
  line->next = NULL;
  return CURLE_OK;
}

/* The parsed URL is kept for the next request: parsing takes 5,800
** instructions, too many for README.md's target of 1.05 times (a). */
static CURLcode set_url(struct uq_transfer *x, const char *text) {
  CURL *easy = x->easy;
  if (x->url_text != NULL && strcmp(x->url_text, text) == 0)
    return CURLE_OK;
  free(x->url_text);
  x->url_text = NULL;
  CURLUcode parsed = curl_url_set(x->url, CURLUPART_URL, text, 0);
  if (parsed != CURLUE_OK)
    return parsed == CURLUE_OUT_OF_MEMORY ? CURLE_OUT_OF_MEMORY
                                          : CURLE_URL_MALFORMAT;
  UQ_SET(easy, CURLOPT_CURLU, x->url);
  x->url_text = strdup(text);
  x->encrypted = uq_url_encrypted(text);
  return x->url_text == NULL ? CURLE_OUT_OF_MEMORY : CURLE_OK;
}

/* Limits that the handle has from the request before are not set again: that
** takes 300 instructions, too many for a target of 1.10 times (a) with 64 calls
** in flight. */
static CURLcode set_limits(struct uq_transfer *x, const struct uq_request *r) {
  struct uq_limits limits = {r->timeout_ms, r->connect_timeout_ms,
                             (long)r->max_response_bytes};
  if (limits.timeout_ms != x->limits.timeout_ms)
    UQ_SET(x->easy, CURLOPT_TIMEOUT_MS, limits.timeout_ms);
  if (limits.connect_timeout_ms != x->limits.connect_timeout_ms)
    UQ_SET(x->easy, CURLOPT_CONNECTTIMEOUT_MS, limits.connect_timeout_ms);
  if (limits.bytes != x->limits.bytes)
    UQ_SET(x->easy, CURLOPT_MAXFILESIZE, limits.bytes);
  x->limits = limits;
  return CURLE_OK;
}

static CURLcode set_request(struct uq_transfer *x, const struct uq_request *r) {
  struct uq_liveness *l = &x->transport->multi.liveness;
  CURL *easy = x->easy;
  CURLcode code = x->setup;
  if (code == CURLE_OK)
    code = set_url(x, r->url);
  if (code == CURLE_OK)
    code = link_headers(x);
  if (code == CURLE_OK)
    code =
        uq_http_version_set(&x->transport->versions, &x->pending, x->encrypted);
  if (code != CURLE_OK)
    return code;
  if (r->body != NULL)
    UQ_SET(easy, CURLOPT_POSTFIELDS, r->body); /* makes it a POST */
  else
    UQ_SET(easy, CURLOPT_HTTPGET, 1L);
  bool fresh = r->fresh || uq_connections_shut_spoiled(&l->connections, l->now);
  UQ_SET(easy, CURLOPT_FRESH_CONNECT, (long)fresh);
  return set_limits(x, r);
}

/* The state of a transfer whose request is about to start. */
static void reset_transfer(struct uq_transfer *x, const struct uq_request *r) {
  x->owner = r->owner;
  x->body.max = r->max_response_bytes;
  uq_response_headers_clear(&x->received);
  x->refused = UQ_OK;
  x->error[0] = '\0';
  x->started = x->done = false;
  x->start_errno = x->socket_errno = 0;
  x->request_size = 0;
  uq_pending_init(&x->pending, r->endpoint, (double)r->timeout_ms / 1000,
                  r->silence);
}

/* CURLE_OK: libcurl has the request. */
static CURLcode start_request(struct uq_transfer *x,
                              const struct uq_request *r) {
  struct uq_transport *t = x->transport;
  CURLcode code = set_request(x, r);
  if (code != CURLE_OK)
    return code;
  uq_http_version_forget(&t->versions, &t->multi, &x->pending);
  uq_http_version_limit(&t->versions, &t->multi);
  CURLMcode added = curl_multi_add_handle(t->multi.handle, x->easy);
  if (added != CURLM_OK)
    return added == CURLM_OUT_OF_MEMORY ? CURLE_OUT_OF_MEMORY
                                        : CURLE_FAILED_INIT;
  x->started = x->in_multi = true;
  uq_pending_begin(&x->pending);
  return CURLE_OK;
}

void uq_transfer_start(struct uq_transfer *x, const struct uq_request *r) {
  struct uq_transport *t = x->transport;
  if (r->concurrent)
    uq_http_version_expect_concurrent(&t->versions, &t->multi);
  t->multi.liveness.now = uq_clock();
  uq_multi_clear_way(&t->multi);
  int error = uq_multi_open(&t->multi);
  reset_transfer(x, r);
  if (error != 0) {
    x->start_errno = error;
    snprintf(x->error, sizeof x->error, "cannot open a poller: %s",
             strerror(error));
    uq_transfer_finish(x, CURLE_COULDNT_CONNECT);
    return;
  }
  CURLcode code = start_request(x, r);
  if (code != CURLE_OK)
    uq_transfer_finish(x, code);
}

/* ------------------------------------------------------------------------ */
/* end                                                                       */
/* ------------------------------------------------------------------------ */

/* The transfer is out of the multi handle, or left in a parent's. */
static void leave_multi(struct uq_transfer *x) {
  uq_pending_end(&x->pending);
  x->in_multi = false;
}

void uq_transfer_finish(struct uq_transfer *x, CURLcode code) {
  if (x->in_multi) {
    curl_multi_remove_handle(x->transport->multi.handle, x->easy);
    leave_multi(x);
  }
  x->code = code;
  x->done = true;
  if (x->owner != NULL)
    x->transport->options.done(x->owner);
}

void uq_transfers_finish_doomed(struct uq_transport *t) {
  struct uq_pending *next;
  t->multi.liveness.doomed = false;
  for (struct uq_pending *p = t->multi.liveness.requests; p != NULL; p = next) {
    struct uq_transfer *x = p->transfer;
    const char *why = uq_pending_fault(p);
    next = p->next;
    if (why == NULL)
      continue;
    p->dead = why;
    uq_transfer_finish(x, CURLE_GOT_NOTHING);
    snprintf(x->error, sizeof x->error, "%s", why); /* not libcurl's */
  }
}

/* True if libcurl's text says that the whole HTTP/2 session is broken, not only
** a stream of it. */
static bool is_session_broken(const struct uq_transfer *x) {
  const char *text = x->error;
  size_t len = strlen(text);
  if (uq_begins(text, len, "nghttp2 "))
    return true;
  return x->code == CURLE_HTTP2 && len > 0 &&
         !uq_begins(text, len, "HTTP/2 stream ") &&
         !uq_begins(text, len, "[HTTP2] [");
}

/* A request has failed: over HTTP/2 libcurl may keep a broken connection in
** use. It has closed the connection itself if it sent the request again. */
static void note_fault(struct uq_transfer *x) {
  if (x->pending.resends == 0 &&
      (x->code == CURLE_HTTP2 || x->code == CURLE_RECV_ERROR ||
       x->code == CURLE_SEND_ERROR) &&
      uq_pending_failed(&x->pending, is_session_broken(x)))
    x->pending.fresh = true;
}

static int status_of(const struct uq_transfer *x) {
  long status = 0;
  curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
  return (int)status;
}

void uq_transfer_complete(struct uq_transfer *x, CURLcode code) {
  uq_http_version_ended(&x->transport->versions, &x->pending);
  if (x->pending.exhausted)
    code = CURLE_GOT_NOTHING; /* we have stopped it, not libcurl */
  if (code == CURLE_OK)
    uq_pending_answered(&x->pending, status_of(x) >= 300);
  uq_transfer_finish(x, code);
  if (code == CURLE_OPERATION_TIMEDOUT)
    uq_pending_left(&x->pending, false);
  else if (code != CURLE_OK && !x->pending.exhausted)
    note_fault(x);
}

/* Finishes a transfer in flight for the caller, and judges its connection. */
static void stop_transfer(struct uq_transfer *x, CURLcode code) {
  struct uq_transport *t = x->transport;
  struct uq_liveness *l = &t->multi.liveness;
  struct uq_sigpipe guard;
  uq_sigpipe_hold(&guard);
  l->now = uq_clock();
  uq_pending_left(&x->pending, code != CURLE_OPERATION_TIMEDOUT);
  uq_transfer_finish(x, code);
  if (l->doomed) {
    uq_transfers_finish_doomed(t);
    uq_liveness_check_at(l, l->now); /* the others' callers are to be woken */
  }
  uq_sigpipe_release(&guard);
}

void uq_transfer_expire(struct uq_transfer *x) {
  if (!x->in_multi || uq_multi_forked(&x->transport->multi))
    return;
  stop_transfer(x, CURLE_OPERATION_TIMEDOUT);
}

/* Takes the transfer out of the multi handle, if it is there; in a forked child
** it stays in the parent's. True if its easy handle can be used again: libcurl
** keeps traces of a failure. */
static bool detach_transfer(struct uq_transfer *x) {
  if (uq_multi_forked(&x->transport->multi)) {
    if (x->in_multi)
      leave_multi(x);
    return true;
  }
  if (x->in_multi)
    stop_transfer(x, CURLE_ABORTED_BY_CALLBACK);
  return x->code == CURLE_OK;
}

void uq_transfer_release(struct uq_transfer *x) {
  x->owner = NULL;
  uq_transfer_pool_put(x, detach_transfer(x));
}

/* ------------------------------------------------------------------------ */
/* the response                                                              */
/* ------------------------------------------------------------------------ */

bool uq_transfer_done(const struct uq_transfer *x) { return x->done; }

int uq_transfer_resends(const struct uq_transfer *x) {
  return x->pending.resends;
}

/* Moves the content of a buffer, which is empty afterwards. */
static void move_buf(struct uq_buf *to, struct uq_buf *from) {
  *to = *from;
  uq_buf_init(from, to->max);
}

/* True if the response came over HTTP/2 without a length, and this libcurl
** takes RST_STREAM without an error for its end: it does so from 8.3 on. */
static bool is_unframed(const struct uq_transfer *x) {
  long version = CURL_HTTP_VERSION_NONE;
  curl_off_t length = 0;
  if (curl_version_info(CURLVERSION_NOW)->version_num < 0x080300)
    return false;
  curl_easy_getinfo(x->easy, CURLINFO_HTTP_VERSION, &version);
  curl_easy_getinfo(x->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
  return version >= CURL_HTTP_VERSION_2_0 && length < 0;
}

void uq_transfer_take(struct uq_transfer *x, struct uq_response *r) {
  r->status = x->started ? status_of(x) : 0;
  if (x->started) {
    curl_easy_getinfo(x->easy, CURLINFO_NUM_CONNECTS, &r->connects);
    r->plain = !x->encrypted;
  }
  r->received = x->received;
  r->dead = x->pending.dead != NULL;
  r->fresh = x->pending.fresh;
  r->unframed = x->code == CURLE_OK && is_unframed(x);
  uq_transfer_error(x, r);
  move_buf(&r->sent, &x->headers);
  move_buf(&r->body, &x->body);
  uq_transfer_release(x);
}

/* Most calls do this twice, the second time for nothing: to clear the texts
** takes 160 instructions. */
void uq_response_free(struct uq_response *r) {
  bool has_text = r->received.bytes > 0 || r->message[0] != '\0';
  uq_buf_free(&r->sent);
  uq_buf_free(&r->body);
  memset(r, 0, has_text ? sizeof *r : offsetof(struct uq_response, received));
}
