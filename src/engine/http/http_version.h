/*
** http_version.h - which HTTP version a request offers, and how many
** connections requests may open.
**
** With the option "auto" a transport speaks 1.1 until the first request that
** may have others beside it, and HTTP/2 from then on. A request that is alone
** costs a quarter more over 2. Side by side, requests over 1.1 need a
** connection each, whose TLS handshake costs as much as 50 requests.
** (README.md, Speed, has the figures.)
**
** libcurl is not made for that change, nor for many requests that start at once
** before the server's version is known; so here is what it must be told:
** - Both versions at once do not go together: after a response over 1.1 libcurl
**   thinks that the host cannot multiplex, and takes an idle connection of 1.1
**   for a request that prefers 2. So the connections are closed at the change.
** - Requests wait for a handshake that may agree on HTTP/2 (PIPEWAIT). From
**   8.10 on libcurl wakes them only if it does; uq_multi_sweep wakes them all.
** - It opens a connection for each request that finds the others full, or that
**   it sends again because its connection has ended: so there is a limit.
** - After a refusal, 8.23 may forget a request: uq_http_version_nudge.
** Knows no Lua.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_HTTP_HTTP_VERSION_H
#define UQ_HTTP_HTTP_VERSION_H

#include <curl/curl.h>
#include <stdbool.h>

#include "engine/event/poller.h"
#include "engine/http/liveness.h"
#include "engine/http/multi.h"
#include "engine/http/transport_options.h"

#pragma GCC visibility push(hidden)

struct uq_versions {
  enum uq_http_version option; /* the user's */
  bool has_http2;              /* this libcurl speaks it */
  bool concurrent; /* a request was started that may have others beside it */
  bool offered;    /* the last request offered HTTP/2 as one of several */
  long server;     /* CURL_HTTP_VERSION_ of the last response, or of the last
                      handshake if that agreed on 1.1; 0: not known */
  long max_connections; /* the caller's limit; 0: none */
};

void uq_http_version_init(struct uq_versions *v, enum uq_http_version option);

/* Has the handle of a request tell what its handshake agrees on. */
CURLcode uq_http_version_prepare(struct uq_versions *v, CURL *easy);

/* A request starts that may have others beside it. */
void uq_http_version_expect_concurrent(struct uq_versions *v,
                                       struct uq_multi *m);

/* Sets the version that the next request of p's handle offers. */
CURLcode uq_http_version_set(struct uq_versions *v, struct uq_pending *p,
                             bool encrypted);

/* Before a request is added to the multi handle: without an open connection of
** 1.1 the server's version is unknown again, as the server may have been
** replaced. */
void uq_http_version_forget(struct uq_versions *v, const struct uq_multi *m,
                            const struct uq_pending *p);

/* libcurl is about to send the request, maybe again. */
void uq_http_version_sent(struct uq_versions *v, struct uq_multi *m,
                          const struct uq_pending *p);

/* The request has ended, with a response or without. */
void uq_http_version_ended(struct uq_versions *v, const struct uq_pending *p);

/* Before libcurl gets an event of a connection, which may be its end. */
void uq_http_version_see_event(struct uq_versions *v, struct uq_multi *m,
                               const struct uq_event *event);

/* Sets how many connections the requests in flight may share. To be called when
** their number has changed, or anything that is known here. */
void uq_http_version_limit(const struct uq_versions *v, struct uq_multi *m);

/* Wakes the requests that libcurl may have forgotten. */
CURLMcode uq_http_version_nudge(struct uq_multi *m);

#pragma GCC visibility pop

#endif
