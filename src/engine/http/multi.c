/*
** multi.c - see multi.h.
**
** curl's callbacks only take notes and copy: they call nothing of curl but the
** getters and setters of their own handle, and no code of a higher layer.
** SPDX-License-Identifier: MIT
*/
#include "engine/http/multi.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/event/poller.h"
#include "engine/http/connections.h"
#include "engine/http/easy_handle.h"
#include "engine/http/liveness.h"
#include "engine/http/process.h"

#define MAX_CONNECTIONS 1024 /* kept open */
#define MAX_STREAMS 1000     /* of a connection; servers allow fewer */
#define MAX_LOOKUPS 256L     /* at once, each in a thread; begun on demand */
#define SWEEP_SOON 0.05      /* seconds: connections often end together */
#define SWEEP_AGAIN 1.01     /* seconds; libcurl looks once a second at most */

/* Newer than the headers may be: by number. An older libcurl refuses them. */
#define RESOLVE_THREADS_MAX ((CURLMoption)(CURLOPTTYPE_LONG + 20)) /* 8.20 */
#define QUICK_EXIT ((CURLMoption)(CURLOPTTYPE_LONG + 21))          /* 8.20 */

/* ------------------------------------------------------------------------ */
/* curl's callbacks                                                          */
/* ------------------------------------------------------------------------ */

/* True if the transfer, one of ours or of libcurl's own, had its response over
** HTTP/1. */
static bool used_http1(CURL *easy) {
  long version = CURL_HTTP_VERSION_NONE;
  curl_easy_getinfo(easy, CURLINFO_HTTP_VERSION, &version);
  return version == CURL_HTTP_VERSION_1_0 || version == CURL_HTTP_VERSION_1_1;
}

/* When libcurl reports that a transfer has left a connection, another one may
** have it already: on_socket is called for that one next. */
static void note_use(struct uq_multi *m, CURL *easy, int fd, bool used) {
  struct uq_liveness *l = &m->liveness;
  if (uq_connections_of(&l->connections, fd) == NULL &&
      !uq_connection_is_inet(fd))
    return;
  if (used)
    uq_connections_use(&l->connections, fd, l->now);
  else
    uq_connections_rest(&l->connections, fd, l->now, used_http1(easy));
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *multi,
                     void *unused) {
  struct uq_multi *m = multi;
  int watch = UQ_POLL_NONE;
  (void)unused;
  if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
    watch |= UQ_POLL_IN;
  if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
    watch |= UQ_POLL_OUT;
  note_use(m, easy, fd, watch != UQ_POLL_NONE);
  if (watch == UQ_POLL_NONE)
    return uq_poller_pause(&m->poller, fd) == 0 ? 0 : -1;
  return uq_poller_watch(&m->poller, fd, watch) == 0 ? 0 : -1;
}

static int on_close_socket(void *multi, curl_socket_t fd) {
  struct uq_multi *m = multi;
  uq_connections_close(&m->liveness.connections, fd);
  m->sockets_closed++;
  (void)uq_poller_watch(&m->poller, fd, UQ_POLL_NONE);
  return close(fd);
}

static int on_timer(CURLM *handle, long ms, void *multi) {
  struct uq_multi *m = multi;
  (void)handle;
  m->timer = ms < 0 ? -1 : uq_clock() + (double)ms / 1000;
  return 0;
}

/* ------------------------------------------------------------------------ */
/* open and close                                                            */
/* ------------------------------------------------------------------------ */

static void unset_times(struct uq_multi *m) {
  m->timer = m->sweep = m->nudge = -1;
}

void uq_multi_init(struct uq_multi *m) {
  memset(m, 0, sizeof *m);
  unset_times(m);
  uq_liveness_init(&m->liveness);
  uq_poller_init(&m->poller);
  m->reuses_dead = uq_easy_handle_reuses_dead();
  m->generation = uq_process_generation();
}

bool uq_multi_forked(const struct uq_multi *m) {
  return uq_process_generation() != m->generation;
}

static CURLMcode set_options(struct uq_multi *m) {
  CURLM *handle = m->handle;
  CURLMcode code =
      curl_multi_setopt(handle, CURLMOPT_SOCKETFUNCTION, on_socket);
  if (code == CURLM_OK)
    code = curl_multi_setopt(handle, CURLMOPT_SOCKETDATA, m);
  if (code == CURLM_OK)
    code = curl_multi_setopt(handle, CURLMOPT_TIMERFUNCTION, on_timer);
  if (code == CURLM_OK)
    code = curl_multi_setopt(handle, CURLMOPT_TIMERDATA, m);
  if (code == CURLM_OK)
    code =
        curl_multi_setopt(handle, CURLMOPT_MAXCONNECTS, (long)MAX_CONNECTIONS);
  if (code == CURLM_OK)
    code = curl_multi_setopt(handle, CURLMOPT_MAX_CONCURRENT_STREAMS,
                             (long)MAX_STREAMS);
  (void)curl_multi_setopt(handle, RESOLVE_THREADS_MAX, MAX_LOOKUPS);
  (void)curl_multi_setopt(handle, QUICK_EXIT, 1L);
  return code;
}

int uq_multi_open(struct uq_multi *m) {
  if (m->handle != NULL)
    return 0;
  int error = m->poller_open ? 0 : uq_poller_open(&m->poller);
  if (error != 0)
    return error;
  m->poller_open = true;
  m->handle = curl_multi_init();
  if (m->handle != NULL && set_options(m) == CURLM_OK)
    return 0;
  curl_multi_cleanup(m->handle);
  m->handle = NULL;
  int lack = uq_process_lack();
  return lack != 0 ? lack : ENOMEM;
}

void uq_multi_close(struct uq_multi *m) {
  struct uq_sigpipe guard;
  if (m->handle == NULL)
    return;
  uq_sigpipe_hold(&guard);
  curl_multi_cleanup(m->handle);
  uq_sigpipe_release(&guard);
  m->handle = NULL;
  m->cut_short = 0;
  m->liveness.check = -1;
  m->liveness.limit = 0;
  unset_times(m);
}

void uq_multi_free(struct uq_multi *m) {
  uq_multi_close(m);
  uq_poller_close(&m->poller); /* after the handle, whose sockets it watches */
  uq_liveness_free(&m->liveness);
}

CURLcode uq_multi_prepare(struct uq_multi *m, CURL *easy) {
  UQ_SET(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close_socket);
  UQ_SET(easy, CURLOPT_CLOSESOCKETDATA, m);
  return CURLE_OK;
}

double uq_multi_due(const struct uq_multi *m) {
  return uq_earlier(uq_earlier(m->timer, m->liveness.check),
                    uq_earlier(m->sweep, m->nudge));
}

/* ------------------------------------------------------------------------ */
/* dead connections                                                          */
/* ------------------------------------------------------------------------ */

static curl_socket_t open_no_socket(void *unused, curlsocktype type,
                                    struct curl_sockaddr *address) {
  (void)unused, (void)type, (void)address;
  return CURL_SOCKET_BAD;
}

/* Sets a handle so that its request fails before there is a socket. No base_url
** may name its host, so that it is never given an open connection. (With
** CURLOPT_FRESH_CONNECT libcurl 8.22 would not look for dead ones.) */
static CURLcode set_nowhere(CURL *easy) {
  UQ_SET(easy, CURLOPT_URL, "http://0.0.0.0:1/");
  UQ_SET(easy, CURLOPT_NOPROXY, "*");
  UQ_SET(easy, CURLOPT_OPENSOCKETFUNCTION, open_no_socket);
  UQ_SET(easy, CURLOPT_NOSIGNAL, 1L);
  return CURLE_OK;
}

/* A request that goes nowhere, from its start to its end. libcurl closes dead
** connections when a request starts, if it has not done so within the last
** second, and lets waiting requests try again when a request ends.
** `evict`: without room for its connection, so that libcurl makes some by
** closing idle connections, all of them or the oldest. */
static CURLMcode go_nowhere(struct uq_multi *m, bool evict) {
  int running;
  CURL *easy = curl_easy_init();
  CURLMcode code = CURLM_OUT_OF_MEMORY;
  if (easy != NULL && set_nowhere(easy) == CURLE_OK)
    code = curl_multi_add_handle(m->handle, easy);
  if (code == CURLM_OK) {
    if (evict)
      (void)curl_multi_setopt(m->handle, CURLMOPT_MAX_TOTAL_CONNECTIONS, 1L);
    code =
        curl_multi_socket_action(m->handle, CURL_SOCKET_TIMEOUT, 0, &running);
    if (evict)
      (void)curl_multi_setopt(m->handle, CURLMOPT_MAX_TOTAL_CONNECTIONS, 0L);
    (void)curl_multi_remove_handle(m->handle, easy);
  } else {
    code = CURLM_OK; /* no memory now: later */
    m->sweep = uq_earlier(m->sweep, uq_clock() + SWEEP_AGAIN);
  }
  curl_easy_cleanup(easy);
  return code;
}

/* Closes the idle connections that were shut down, where libcurl would use them
** again, and others with them. If there are no others, the handle is closed:
** otherwise libcurl 7.88 would remember that the host spoke 1.1. */
static CURLMcode close_dead(struct uq_multi *m) {
  struct uq_liveness *l = &m->liveness;
  CURLMcode code = CURLM_OK;
  if (!m->reuses_dead || m->handle == NULL ||
      !uq_connections_have_dead(&l->connections))
    return CURLM_OK;
  if (l->in_flight == 0 && l->connections.idle_count == 0) {
    uq_multi_close(m);
    (void)uq_multi_open(m); /* the next request reports it if it fails */
    return CURLM_OK;
  }
  unsigned before = m->sockets_closed - 1;
  while (code == CURLM_OK && m->sockets_closed != before &&
         uq_connections_have_dead(&l->connections)) {
    before = m->sockets_closed;
    code = go_nowhere(m, true);
  }
  m->sweep = uq_clock(); /* for the requests that this has made wait */
  return code;
}

void uq_multi_clear_way(struct uq_multi *m) {
  struct uq_connections *cs = &m->liveness.connections;
  struct uq_sigpipe guard;
  if (!m->reuses_dead)
    return;
  (void)uq_connections_shut_spoiled(cs, m->liveness.now);
  if (!uq_connections_have_dead(cs))
    return;
  uq_sigpipe_hold(&guard);
  (void)close_dead(m);
  uq_sigpipe_release(&guard);
}

CURLMcode uq_multi_sweep(struct uq_multi *m) {
  double again = m->sweep_again ? uq_clock() + SWEEP_AGAIN : -1;
  m->sweep_again = false;
  CURLMcode code = close_dead(m);
  m->sweep = again;
  return code == CURLM_OK && m->handle != NULL ? go_nowhere(m, false) : code;
}

/* The server has ended idle connections, or sent what belongs to no request.
** These events must be gone before curl can use the connections. They are shut
** down now, and curl closes them in the sweep. What comes over HTTP/2 between
** requests does no harm: curl reads it with the next request. */
int uq_multi_take_resting(struct uq_multi *m, struct uq_event *events,
                          int count) {
  struct uq_connections *cs = &m->liveness.connections;
  int left = 0;
  for (int i = 0; i < count; i++) {
    int fd = events[i].fd;
    if (!(events[i].what & UQ_POLL_PAUSED)) {
      events[left++] = events[i];
      continue;
    }
    const struct uq_connection *c = uq_connections_of(cs, fd);
    if (!(c != NULL && c->idle) && !(events[i].what & UQ_POLL_ERR))
      continue;
    (void)uq_poller_watch(&m->poller, fd, UQ_POLL_NONE);
    uq_connections_shut(cs, fd);
    m->sweep = uq_earlier(m->sweep, uq_clock() + SWEEP_SOON);
    m->sweep_again = true;
  }
  return left;
}
