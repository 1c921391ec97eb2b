/*
** http_version.c - see http_version.h.
** SPDX-License-Identifier: MIT
*/
#include "engine/http/http_version.h"

#include <math.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/http/connections.h"
#include "engine/http/easy_handle.h"

#define STREAMS 100L /* of a connection: hardly any server allows fewer */
#define REFUSALS 4   /* of a request; libcurl gives up after 6 */
#define NUDGE 0.05   /* seconds until the first nudge, at least */

void uq_http_version_init(struct uq_versions *v, enum uq_http_version option) {
  memset(v, 0, sizeof *v);
  v->option = option;
  v->has_http2 =
      (curl_version_info(CURLVERSION_NOW)->features & CURL_VERSION_HTTP2) != 0;
}

/* ------------------------------------------------------------------------ */
/* the version of a request                                                  */
/* ------------------------------------------------------------------------ */

void uq_http_version_expect_concurrent(struct uq_versions *v,
                                       struct uq_multi *m) {
  if (v->concurrent || m->liveness.in_flight > 0)
    return;
  if (v->option == UQ_HTTP_AUTO)
    uq_multi_close(m);
  v->concurrent = true;
}

static bool offers_http2(const struct uq_versions *v, bool encrypted) {
  if (!encrypted)
    return false;
  if (v->option == UQ_HTTP_AUTO)
    return v->concurrent && v->has_http2;
  return v->option == UQ_HTTP_2;
}

CURLcode uq_http_version_set(struct uq_versions *v, struct uq_pending *p,
                             bool encrypted) {
  bool http2 = offers_http2(v, encrypted);
  if (http2 && !v->has_http2)
    return CURLE_NOT_BUILT_IN;
  p->multiplexed = http2;
  v->offered = http2 && v->concurrent;
  UQ_SET(p->easy, CURLOPT_HTTP_VERSION,
         (long)(http2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
  /* to wait for a connection that is being opened, not to open another one */
  UQ_SET(p->easy, CURLOPT_PIPEWAIT, (long)http2);
  return CURLE_OK;
}

/* ------------------------------------------------------------------------ */
/* the version of the server                                                 */
/* ------------------------------------------------------------------------ */

/* Called for a request that has opened a connection: the first line of its
** header block has the version that the handshake agreed on. Copies nothing,
** since the header block holds secrets. */
static int on_debug(CURL *easy, curl_infotype type, char *data, size_t size,
                    void *versions) {
  static const char word[] = " HTTP/";
  struct uq_versions *v = versions;
  const char *end = memchr(data, '\r', size);
  if (type != CURLINFO_HEADER_OUT)
    return 0;
  curl_easy_setopt(easy, CURLOPT_VERBOSE, 0L);
  for (const char *at = data; end != NULL && at + sizeof word <= end; at++) {
    if (memcmp(at, word, sizeof word - 1) == 0 && at[sizeof word - 1] == '1')
      v->server = CURL_HTTP_VERSION_1_1;
  }
  return 0;
}

CURLcode uq_http_version_prepare(struct uq_versions *v, CURL *easy) {
  UQ_SET(easy, CURLOPT_DEBUGFUNCTION, on_debug);
  UQ_SET(easy, CURLOPT_DEBUGDATA, v);
  return CURLE_OK;
}

/* Where libcurl does not tell what a handshake agrees on, the version is kept.
 */
void uq_http_version_forget(struct uq_versions *v, const struct uq_multi *m,
                            const struct uq_pending *p) {
  if (m->liveness.in_flight == 0 && m->liveness.connections.idle_count == 0 &&
      p->reports_sent && v->server == CURL_HTTP_VERSION_1_1)
    v->server = 0;
}

/* The server's HTTP/2 is known with its first response. Until then a request
** may open a connection, for servers that take few streams at once: one that
** such a server refuses, and libcurl sends again, does not wait for another
** handshake. */
void uq_http_version_sent(struct uq_versions *v, struct uq_multi *m,
                          const struct uq_pending *p) {
  long opened = 0;
  /* A resend needs a new connection: over 1.1 idle ones of the same age may be
     closed, too; over HTTP/2 one that was refused several times needs room. */
  if (!p->multiplexed || p->resends >= REFUSALS ||
      v->server == CURL_HTTP_VERSION_1_1)
    (void)curl_easy_setopt(p->easy, CURLOPT_FRESH_CONNECT, 1L);
  if (!p->multiplexed)
    return;
  if (p->resends > 0) {
    m->resent = m->liveness.now;
    m->nudge = m->resent + NUDGE;
  }
  if (v->server == 0)
    curl_easy_setopt(p->easy, CURLOPT_PIPEWAIT, 0L);
  curl_easy_getinfo(p->easy, CURLINFO_NUM_CONNECTS, &opened);
  if (opened <= 0)
    return;
  curl_easy_setopt(p->easy, CURLOPT_VERBOSE, 1L); /* on_debug is called */
  m->cut_short = 0;
  if (m->liveness.in_flight > 1)
    m->sweep = m->liveness.now; /* in this step */
}

/* While there was no response at all, a request that was sent on a connection
** which another one opened must have been sent over HTTP/2. */
void uq_http_version_ended(struct uq_versions *v, const struct uq_pending *p) {
  long version = CURL_HTTP_VERSION_NONE, sent = 0, opened = 1;
  if (!p->multiplexed)
    return;
  curl_easy_getinfo(p->easy, CURLINFO_HTTP_VERSION, &version);
  if (version == CURL_HTTP_VERSION_NONE && v->server == 0) {
    curl_easy_getinfo(p->easy, CURLINFO_REQUEST_SIZE, &sent);
    curl_easy_getinfo(p->easy, CURLINFO_NUM_CONNECTS, &opened);
    if (sent > 0 && opened == 0)
      version = CURL_HTTP_VERSION_2_0;
  }
  if (version != CURL_HTTP_VERSION_NONE)
    v->server = version;
}

/* ------------------------------------------------------------------------ */
/* connections                                                               */
/* ------------------------------------------------------------------------ */

/* The limit for requests that offer HTTP/2; 0: none. Where it is only offered
** there is one for many requests, and for those whose connection has ended,
** until the next handshake tells. */
static long limit_http2(const struct uq_versions *v, const struct uq_multi *m) {
  long in_flight = (long)m->liveness.in_flight;
  long limit = 2 + in_flight / STREAMS;
  if (v->server >= CURL_HTTP_VERSION_2_0)
    return limit;
  if (v->server != 0 || (in_flight < STREAMS && m->cut_short == 0))
    return 0;
  return m->cut_short > limit ? m->cut_short : limit;
}

void uq_http_version_limit(const struct uq_versions *v, struct uq_multi *m) {
  long limit = v->offered ? limit_http2(v, m) : 0, before = m->liveness.limit;
  if (v->max_connections > 0 && (limit == 0 || limit > v->max_connections))
    limit = v->max_connections;
  if (limit == before)
    return;
  if (before != 0 && (limit == 0 || limit > before))
    m->sweep = uq_clock(); /* for the requests that wait */
  m->liveness.limit = limit;
  (void)curl_multi_setopt(m->handle, CURLMOPT_MAX_HOST_CONNECTIONS, limit);
}

/* If the peer has ended a connection, libcurl is about to send its requests
** again, each on a connection of its own if there is no limit. */
void uq_http_version_see_event(struct uq_versions *v, struct uq_multi *m,
                               const struct uq_event *event) {
  if (!v->offered || v->server != 0 || m->liveness.in_flight < 2)
    return;
  if (!(event->what & UQ_POLL_ERR) && !uq_connection_has_ended(event->fd))
    return;
  m->cut_short = uq_connections_in_use(&m->liveness.connections);
  uq_http_version_limit(v, m);
}

/* What libcurl 8.23 has read for a request, along with another one's refusal,
** stays where it is until some event on the connection. So there is one, less
** and less often, for the requests that were sent before the last resend. */
CURLMcode uq_http_version_nudge(struct uq_multi *m) {
  double now = uq_clock();
  int running, last = -1;
  CURLMcode code = CURLM_OK;
  m->nudge = -1;
  for (struct uq_pending *p = m->liveness.requests;
       p != NULL && code == CURLM_OK; p = p->next) {
    if (p->sent == 0 || p->sent > m->resent || !p->multiplexed)
      continue;
    m->nudge = uq_earlier(m->nudge, now + fmax(NUDGE, now - p->sent));
    int fd = uq_pending_connection(p);
    if (fd < 0 || fd == last)
      continue;
    last = fd;
    code = curl_multi_socket_action(
        m->handle, fd, CURL_CSELECT_IN | CURL_CSELECT_OUT, &running);
  }
  return code;
}
