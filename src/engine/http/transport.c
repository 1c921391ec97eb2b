/*
** transport.c - see transport.h.
** SPDX-License-Identifier: MIT
*/
#include "engine/http/transport.h"

#include <curl/curl.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/event/poller.h"
#include "engine/http/connections.h"
#include "engine/http/http_version.h"
#include "engine/http/liveness.h"
#include "engine/http/multi.h"
#include "engine/http/process.h"
#include "engine/http/transfer_pool.h"
#include "engine/http/transport_state.h"

#define MAX_EVENTS 64 /* of a step */

struct uq_transport *
uq_transport_new(const struct uq_transport_options *options) {
  struct uq_transport *t = uq_process_init() ? calloc(1, sizeof *t) : NULL;
  if (t == NULL)
    return NULL;
  t->options = *options;
  t->wake = -1;
  uq_multi_init(&t->multi);
  uq_http_version_init(&t->versions, options->http_version);
  return t;
}

void uq_transport_limit(struct uq_transport *t, long connections,
                        double slice) {
  t->versions.max_connections = connections;
  t->slice = slice;
}

bool uq_transport_forked(const struct uq_transport *t) {
  return uq_multi_forked(&t->multi);
}

/* What forked children inherited: never used and never freed; referred to from
** here, so that no leak is reported. */
static struct uq_transport *abandoned;

static void abandon_transport(struct uq_transport *t) {
  uq_poller_close(&t->multi.poller);
  t->next_abandoned = __atomic_load_n(&abandoned, __ATOMIC_RELAXED);
  while (!__atomic_compare_exchange_n(&abandoned, &t->next_abandoned, t, true,
                                      __ATOMIC_RELEASE, __ATOMIC_RELAXED))
    continue;
}

void uq_transport_free(struct uq_transport *t) {
  if (uq_transport_forked(t)) {
    abandon_transport(t);
    return;
  }
  uq_transfer_pool_free(t);
  uq_multi_free(&t->multi);
  free(t);
}

/* ------------------------------------------------------------------------ */
/* a step                                                                    */
/* ------------------------------------------------------------------------ */

/* Sets the poller's timer to what is due first. */
static void set_timer(struct uq_transport *t) {
  uq_poller_timer(&t->multi.poller,
                  uq_earlier(uq_multi_due(&t->multi), t->wake));
}

/* curl's multi handle is out of order: nothing in flight will ever finish. */
static void fail_transfers(struct uq_transport *t, CURLMcode code) {
  while (t->multi.liveness.requests != NULL) {
    struct uq_transfer *x = t->multi.liveness.requests->transfer;
    snprintf(x->error, sizeof x->error, "%s", curl_multi_strerror(code));
    uq_transfer_finish(x, code == CURLM_OUT_OF_MEMORY ? CURLE_OUT_OF_MEMORY
                                                      : CURLE_FAILED_INIT);
  }
}

static int to_curl_events(int what) {
  return (what & UQ_POLL_IN ? CURL_CSELECT_IN : 0) |
         (what & UQ_POLL_OUT ? CURL_CSELECT_OUT : 0) |
         (what & UQ_POLL_ERR ? CURL_CSELECT_ERR : 0);
}

static CURLMcode act_on_event(struct uq_transport *t,
                              const struct uq_event *event) {
  struct uq_liveness *l = &t->multi.liveness;
  int running;
  uq_http_version_see_event(&t->versions, &t->multi, event);
  if (event->what & UQ_POLL_IN)
    uq_connections_touch(&l->connections, event->fd, l->now);
  return curl_multi_socket_action(t->multi.handle, event->fd,
                                  to_curl_events(event->what), &running);
}

/* Hands curl the events, until the step's time is over: those that are left are
** reported again. */
static CURLMcode act_on_events(struct uq_transport *t,
                               const struct uq_event *events, int count) {
  struct uq_liveness *l = &t->multi.liveness;
  CURLMcode code = CURLM_OK;
  if (count == 0)
    return CURLM_OK;
  l->now = uq_clock();
  double end = t->slice > 0 ? l->now + t->slice : HUGE_VAL;
  for (int i = 0; i < count && code == CURLM_OK && l->now < end; i++) {
    code = act_on_event(t, &events[i]);
    if (t->slice > 0)
      l->now = uq_clock();
  }
  return code;
}

/* Does what is due by now. */
static CURLMcode act_on_timers(struct uq_transport *t) {
  struct uq_multi *m = &t->multi;
  CURLMcode code = CURLM_OK;
  int running;
  m->liveness.now = uq_clock();
  if (m->timer >= 0 && m->liveness.now >= m->timer) {
    m->timer = -1; /* curl sets it again if it needs it */
    code =
        curl_multi_socket_action(m->handle, CURL_SOCKET_TIMEOUT, 0, &running);
  }
  if (code == CURLM_OK && m->sweep >= 0 && uq_clock() >= m->sweep)
    code = uq_multi_sweep(m);
  if (code == CURLM_OK && m->nudge >= 0 && uq_clock() >= m->nudge)
    code = uq_http_version_nudge(m);
  return code;
}

/* Takes the transfers that libcurl has finished, and finishes those whose
** connections are dead. */
static void reap_transfers(struct uq_transport *t) {
  CURLMsg *message;
  int left;
  while ((message = curl_multi_info_read(t->multi.handle, &left)) != NULL) {
    struct uq_transfer *x = NULL;
    CURLcode code = message->data.result; /* the removal frees the message */
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&x);
    uq_transfer_complete(x, code);
  }
  uq_liveness_check(&t->multi.liveness);
  if (t->multi.liveness.doomed)
    uq_transfers_finish_doomed(t);
  uq_http_version_limit(&t->versions, &t->multi);
}

/* Waits until `wake`, without a poller. */
static void wait_without_poller(const struct uq_transport *t, long limit_ms) {
  double left = (t->wake - uq_clock()) * 1000;
  if (t->wake >= 0 && left < (double)limit_ms)
    limit_ms = left > 0 ? (long)left + 1 : 0;
  (void)poll(NULL, 0, (int)limit_ms);
}

void uq_transport_step(struct uq_transport *t, long limit_ms, double wake) {
  struct uq_event events[MAX_EVENTS];
  struct uq_sigpipe guard;
  t->wake = wake;
  /* no request could be started, or everything is the parent's */
  if (t->multi.handle == NULL || uq_transport_forked(t)) {
    wait_without_poller(t, limit_ms);
    return;
  }
  set_timer(t);
  int count = uq_poller_wait(&t->multi.poller, events, MAX_EVENTS, limit_ms);
  uq_sigpipe_hold(&guard);
  count = uq_multi_take_resting(&t->multi, events, count);
  CURLMcode code = act_on_events(t, events, count);
  if (code == CURLM_OK)
    code = act_on_timers(t);
  if (code == CURLM_OK)
    reap_transfers(t);
  else
    fail_transfers(t, code);
  uq_sigpipe_release(&guard);
}

/* ------------------------------------------------------------------------ */
/* waiting for a step                                                        */
/* ------------------------------------------------------------------------ */

int uq_transport_fd(struct uq_transport *t) {
  if (uq_multi_open(&t->multi) != 0)
    return -1;
  return uq_poller_fd(&t->multi.poller);
}

void uq_transport_publish(struct uq_transport *t, double wake, bool notify) {
  struct uq_poller *poller = &t->multi.poller;
  t->wake = wake;
  if (t->multi.handle == NULL || !uq_poller_is_exported(poller))
    return;
  set_timer(t);
  uq_poller_arm(poller);
  if (notify)
    uq_poller_notify(poller);
}

double uq_transport_due(const struct uq_transport *t) {
  return uq_multi_due(&t->multi);
}

double uq_transport_idle(const struct uq_transport *t, double now) {
  double due = uq_multi_due(&t->multi);
  double idle = uq_liveness_idle(&t->multi.liveness, now);
  return due >= 0 ? fmin(idle, due - now) : idle;
}

/* ------------------------------------------------------------------------ */
/* what it is made of                                                        */
/* ------------------------------------------------------------------------ */

void uq_transport_info(struct uq_transport_info *info) {
  const curl_version_info_data *v = curl_version_info(CURLVERSION_NOW);
  memset(info, 0, sizeof *info);
  snprintf(info->libcurl, sizeof info->libcurl, "%s", v->version);
  snprintf(info->tls, sizeof info->tls, "%s",
           v->ssl_version != NULL ? v->ssl_version : "none");
  if (v->age >= CURLVERSION_SEVENTH) {
    info->ca_file = v->cainfo;
    info->ca_path = v->capath;
  }
  info->poller = uq_poller_name();
  info->http2 = (v->features & CURL_VERSION_HTTP2) != 0;
  info->async_dns = (v->features & CURL_VERSION_ASYNCHDNS) != 0;
}
