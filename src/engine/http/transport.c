/*
** transport.c - see transport.h.
**
** The callbacks only note and copy: of curl they call nothing but the getters
** and setters of their own handle, and no code above.
** SPDX-License-Identifier: MIT
*/
#define _GNU_SOURCE /* strdup */
#include "engine/http/transport.h"

#include <curl/curl.h>
#include <errno.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/base/ascii.h"
#include "engine/base/clock.h"
#include "engine/event/poller.h"
#include "engine/http/activity.h"
#include "engine/http/curl_error.h"
#include "engine/http/easy_handle.h"
#include "engine/http/idle_connections.h"
#include "engine/http/liveness.h"
#include "engine/http/process.h"
#include "engine/http/trust.h"
#include "engine/http/url.h"

#define MAX_HEADERS 8             /* lines of a request */
#define MAX_REQUEST_HEADERS 65536 /* bytes, all lines together */
#define MAX_EVENTS 64
#define NUMBERS 4            /* options of a request that are numbers, ... */
#define FRESH 3              /* ... and which is CURLOPT_FRESH_CONNECT */
#define MAX_CONNECTIONS 1024 /* kept open */
#define MAX_IDLE 128         /* easy handles kept; over HTTP/2 90 KiB each */
#define BURST 1024           /* so many leave enough to give back */
#define LOOK_SOON 0.05       /* seconds: connections often end together */
#define LOOK_AGAIN 1.01      /* seconds; libcurl looks once a second at most */
#define MAX_STREAMS 1000     /* of a connection; servers allow fewer, ... */
#define STREAMS 100          /* ... but hardly any fewer than this */
#define REFUSALS 4           /* of a request; libcurl gives up after 6 */
#define LOOKUPS 256L         /* at once, each in a thread; begun on demand */

/* Newer than the headers may be: by number. An older libcurl refuses them. */
#define PREREQFUNCTION \
  ((CURLoption)(CURLOPTTYPE_FUNCTIONPOINT + 312)) /* 7.80 */
#define PREREQDATA ((CURLoption)(CURLOPTTYPE_OBJECTPOINT + 313))
#define PREREQ_OK 0
#define PREREQ_ABORT 1
#define MULTI_RESOLVE_THREADS_MAX ((CURLMoption)(CURLOPTTYPE_LONG + 20))
#define MULTI_QUICK_EXIT ((CURLMoption)(CURLOPTTYPE_LONG + 21)) /* 8.20 */

struct uq_transport {
  struct uq_transport_options options;
  struct uq_poller poller;
  CURLM *multi;             /* NULL until the first request */
  struct uq_transfer *idle; /* the pool, linked by next */
  int idle_count;           /* at most MAX_IDLE */
  int exchanges;            /* all there are */
  int exchanges_most;       /* since memory was last given back */
  size_t in_flight;         /* how many exchanges are */
  bool two;                 /* libcurl speaks HTTP/2 */
  bool reuses_dead;         /* see uq_easy_handle_reuses_dead */
  unsigned closed;          /* counts the sockets that were closed */
  bool polling;             /* the poller is open */
  bool crowd;               /* requests are side by side: over HTTP/2 */
  bool offers_two;          /* the last request did */
  long spoken;              /* CURL_HTTP_VERSION_ of the last answer, or of the
                               last handshake if it is 1.1; 0: none */
  long ended;               /* connections in use when one of them ended, if no
                               handshake was made since then; 0: none ended */
  long connections_most;    /* the caller's limit; 0: none */
  double turn;              /* seconds of a step; 0: as many as it takes */
  struct uq_liveness liveness;
  double timer;              /* curl's, on uq_clock; below 0: not set */
  double alarm;              /* the caller's; the same */
  double look;               /* when look() is due; the same */
  bool look_again;           /* once more after that */
  double repeated;           /* when libcurl last repeated one over HTTP/2 */
  double nudge;              /* when nudge() is due; below 0: not set */
  unsigned owner;            /* uq_process_generation */
  struct uq_transport *next; /* among the abandoned ones */
};

struct uq_transfer {
  struct uq_transport *transport;
  struct uq_transfer *next; /* in the pool */
  void *owner;              /* NULL: nobody is told */
  CURL *easy;
  CURLU *url;
  char *url_text; /* what url was parsed from */
  bool encrypted; /* it is an https one */
  struct uq_buf headers;
  struct curl_slist lines[MAX_HEADERS]; /* into headers */
  struct uq_buf response;
  struct uq_response_headers received;
  struct uq_pending pending;
  enum uq_kind refused;    /* why a callback stopped the transfer ... */
  const char *refused_why; /* ... for people */
  bool started;            /* libcurl has seen this request */
  int start_errno;         /* why it has not */
  int socket_errno;        /* why a socket could not be opened; 0: all were */
  long request_size;       /* bytes sent when the last socket was opened */
  bool in_multi, done;
  enum uq_http_version version; /* the handle is set to it; AUTO: not yet */
  bool impatient;               /* CURLOPT_PIPEWAIT was cleared: set it again */
  long numbers[NUMBERS]; /* the same of other options; a new handle's are 0 */
  CURLcode setup; /* not OK: start reports it, the handle is never used */
  CURLcode code;
  char error[CURL_ERROR_SIZE];
};

/* ------------------------------------------------------------------------ */
/* curl's callbacks                                                          */
/* ------------------------------------------------------------------------ */

/* Has the transfer, one of ours or of libcurl's own, had its answer over
** HTTP/1? */
static bool spoke_one(CURL *easy) {
  long version = CURL_HTTP_VERSION_NONE;
  curl_easy_getinfo(easy, CURLINFO_HTTP_VERSION, &version);
  return version == CURL_HTTP_VERSION_1_0 || version == CURL_HTTP_VERSION_1_1;
}

/* Notes that a transfer uses the connection, or that none does any more: then
** it is idle, except over HTTP/2, where the server may send at any time. (When
** libcurl reports that the transfer is over, another one may have the
** connection already.) Descriptors of libcurl's own are not connections. */
static void note_use(struct uq_transport *t, CURL *easy, int fd, bool used) {
  struct uq_liveness *l = &t->liveness;
  (void)uq_idle_connections_remove(&l->idle, fd);
  if (uq_activity_of(&l->activity, fd) == NULL &&
      !uq_activity_is_connection(fd))
    return;
  if (used)
    uq_activity_use(&l->activity, fd, l->now);
  else
    uq_activity_rest(&l->activity, fd, l->now);
  if (!used && spoke_one(easy))
    uq_idle_connections_add(&l->idle, fd);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *transport,
                     void *unused) {
  struct uq_transport *t = transport;
  int watch = UQ_POLL_NONE;
  (void)unused;
  if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
    watch |= UQ_POLL_IN;
  if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
    watch |= UQ_POLL_OUT;
  note_use(t, easy, fd, watch != UQ_POLL_NONE);
  if (watch == UQ_POLL_NONE)
    return uq_poller_pause(&t->poller, fd) == 0 ? 0 : -1;
  return uq_poller_watch(&t->poller, fd, watch) == 0 ? 0 : -1;
}

/* What has come of an answer before libcurl sends the request again, as it does
** over HTTP/1.1 where the server asks for that. */
static void drop_answer(struct uq_transfer *x) {
  uq_buf_clear(&x->response);
  memset(&x->received, 0, sizeof x->received);
}

/* libcurl opens a connection: true if that is to send a request again which
** must not be sent again. Before libcurl 7.80, resends are counted here. */
static bool is_exhausted(struct uq_transfer *x) {
  struct uq_pending *p = &x->pending;
  long size = 0;
  if (p->told)
    return p->sent > 0 && !uq_pending_may_resend(p);
  curl_easy_getinfo(x->easy, CURLINFO_REQUEST_SIZE, &size);
  if (size <= x->request_size) /* or another address of the same host */
    return p->exhausted;
  x->request_size = size;
  if (!uq_pending_may_resend(p))
    return true;
  uq_pending_resent(p);
  drop_answer(x);
  return false;
}

/* Opens a socket as libcurl would, which does not tell why it cannot. */
static curl_socket_t on_open(void *exchange, curlsocktype type,
                             struct curl_sockaddr *address) {
  struct uq_transfer *x = exchange;
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

static int on_close(void *transport, curl_socket_t fd) {
  struct uq_transport *t = transport;
  (void)uq_idle_connections_remove(&t->liveness.idle, fd);
  uq_activity_close(&t->liveness.activity, fd);
  t->closed++;
  (void)uq_poller_watch(&t->poller, fd, UQ_POLL_NONE);
  return close(fd);
}

static int on_timer(CURLM *multi, long ms, void *transport) {
  struct uq_transport *t = transport;
  (void)multi;
  t->timer = ms < 0 ? -1 : uq_clock() + (double)ms / 1000;
  return 0;
}

static const char body_too_large[] =
    "the response body is larger than max_response_bytes";

/* Stops the transfer: the result for a callback to return. */
static size_t refuse(struct uq_transfer *x, enum uq_kind kind,
                     const char *why) {
  x->refused = kind;
  x->refused_why = why;
  return 0;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *exchange) {
  struct uq_transfer *x = exchange;
  switch (uq_buf_append(&x->response, bytes, size * n)) {
  case UQ_BUF_OK:
    return size * n;
  case UQ_BUF_FULL:
    return refuse(x, UQ_TOO_LARGE, body_too_large);
  default:
    return refuse(x, UQ_MEMORY, "not enough memory");
  }
}

static size_t on_header(char *line, size_t size, size_t n, void *exchange) {
  struct uq_transfer *x = exchange;
  bool trailer = x->response.len > 0; /* it speaks of nothing we keep */
  if (uq_response_headers_line(&x->received, line, size * n, !trailer))
    return size * n;
  return refuse(x, UQ_TOO_LARGE, "the response headers are too large");
}

/* The request is about to be sent. If it offered HTTP/2 and opened the
** connection, its first line says if the handshake agreed on 1.1: on_debug
** reads that. From 8.10 on libcurl wakes the requests that wait for the
** handshake only if it agreed on 2; look() wakes them all.
**
** That the version is 2 is known when the first answer comes. Until then each
** request may open a connection, for servers that take few streams at once: so
** a request that such a server refuses, and libcurl sends again, does not wait
** for another handshake. */
static int on_request(void *exchange, char *to, char *from, int to_port,
                      int from_port) {
  struct uq_transfer *x = exchange;
  long opened = 0;
  (void)to, (void)from, (void)to_port, (void)from_port;
  if (!uq_pending_sent(&x->pending))
    return PREREQ_ABORT;
  drop_answer(x);
  if (x->version != UQ_HTTP_2 || x->pending.resends >= REFUSALS ||
      x->transport->spoken == CURL_HTTP_VERSION_1_1) {
    /* for a resend: idle connections of the same age may be closed, too; one
       that was refused again and again needs a connection with room */
    if (curl_easy_setopt(x->easy, CURLOPT_FRESH_CONNECT, 1L) == CURLE_OK)
      x->numbers[FRESH] = 1;
  }
  if (x->version != UQ_HTTP_2)
    return PREREQ_OK;
  if (x->pending.resends > 0) {
    x->transport->repeated = x->transport->liveness.now;
    x->transport->nudge = x->transport->repeated + LOOK_SOON;
  }
  if (x->transport->spoken == 0) {
    curl_easy_setopt(x->easy, CURLOPT_PIPEWAIT, 0L);
    x->impatient = true;
  }
  curl_easy_getinfo(x->easy, CURLINFO_NUM_CONNECTS, &opened);
  if (opened <= 0)
    return PREREQ_OK;
  curl_easy_setopt(x->easy, CURLOPT_VERBOSE, 1L);
  x->transport->ended = 0;
  if (x->transport->in_flight > 1)
    x->transport->look = x->transport->liveness.now; /* in this step */
  return PREREQ_OK;
}

/* Copies nothing: the header holds secrets. */
static int on_debug(CURL *easy, curl_infotype type, char *data, size_t size,
                    void *transport) {
  static const char word[] = " HTTP/";
  struct uq_transport *t = transport;
  const char *end = memchr(data, '\r', size);
  if (type != CURLINFO_HEADER_OUT)
    return 0;
  curl_easy_setopt(easy, CURLOPT_VERBOSE, 0L);
  for (const char *at = data; end != NULL && at + sizeof word <= end; at++) {
    if (memcmp(at, word, sizeof word - 1) == 0 && at[sizeof word - 1] == '1')
      t->spoken = CURL_HTTP_VERSION_1_1;
  }
  return 0;
}

/* ------------------------------------------------------------------------ */
/* handles                                                                   */
/* ------------------------------------------------------------------------ */

/* The options that bear on the exchange itself. */
static CURLcode set_callbacks(struct uq_transfer *x) {
  CURL *easy = x->easy;
  UQ_SET(easy, CURLOPT_PRIVATE, x);
  UQ_SET(easy, CURLOPT_ERRORBUFFER, x->error);
  UQ_SET(easy, CURLOPT_WRITEFUNCTION, on_body);
  UQ_SET(easy, CURLOPT_WRITEDATA, x);
  UQ_SET(easy, CURLOPT_HEADERFUNCTION, on_header);
  UQ_SET(easy, CURLOPT_HEADERDATA, x);
  UQ_SET(easy, CURLOPT_HTTPHEADER, x->lines);
  UQ_SET(easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
  UQ_SET(easy, CURLOPT_OPENSOCKETDATA, x);
  UQ_SET(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close);
  UQ_SET(easy, CURLOPT_CLOSESOCKETDATA, x->transport);
  UQ_SET(easy, CURLOPT_DEBUGFUNCTION, on_debug);
  UQ_SET(easy, CURLOPT_DEBUGDATA, x->transport);
  (void)curl_easy_setopt(easy, PREREQDATA, x);
  x->pending.told =
      curl_easy_setopt(easy, PREREQFUNCTION, on_request) == CURLE_OK;
  return CURLE_OK;
}

static CURLMcode set_multi(struct uq_transport *t) {
  CURLMcode code =
      curl_multi_setopt(t->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
  if (code == CURLM_OK)
    code = curl_multi_setopt(t->multi, CURLMOPT_SOCKETDATA, t);
  if (code == CURLM_OK)
    code = curl_multi_setopt(t->multi, CURLMOPT_TIMERFUNCTION, on_timer);
  if (code == CURLM_OK)
    code = curl_multi_setopt(t->multi, CURLMOPT_TIMERDATA, t);
  if (code == CURLM_OK)
    code = curl_multi_setopt(t->multi, CURLMOPT_MAXCONNECTS,
                             (long)MAX_CONNECTIONS);
  if (code == CURLM_OK)
    code = curl_multi_setopt(t->multi, CURLMOPT_MAX_CONCURRENT_STREAMS,
                             (long)MAX_STREAMS);
  (void)curl_multi_setopt(t->multi, MULTI_RESOLVE_THREADS_MAX, LOOKUPS);
  (void)curl_multi_setopt(t->multi, MULTI_QUICK_EXIT, 1L);
  return code;
}

/* Opens poller and multi handle, unless they are. 0 or an errno. */
static int open_multi(struct uq_transport *t) {
  if (t->multi != NULL)
    return 0;
  int error = t->polling ? 0 : uq_poller_open(&t->poller);
  if (error != 0)
    return error;
  t->polling = true; /* others may know its descriptor: it stays */
  t->multi = curl_multi_init();
  if (t->multi != NULL && set_multi(t) == CURLM_OK)
    return 0;
  curl_multi_cleanup(t->multi);
  t->multi = NULL;
  int lack = uq_process_lack();
  return lack != 0 ? lack : ENOMEM;
}

/* Closes the multi handle and its connections. No request is in flight. */
static void close_multi(struct uq_transport *t) {
  struct uq_sigpipe guard;
  if (t->multi == NULL)
    return;
  uq_sigpipe_hold(&guard);
  curl_multi_cleanup(t->multi);
  uq_sigpipe_release(&guard);
  t->multi = NULL;
  t->ended = 0;
  t->timer = t->liveness.check = t->look = t->nudge = -1;
  t->liveness.limit = 0;
}

struct uq_transport *
uq_transport_new(const struct uq_transport_options *options) {
  struct uq_transport *t = uq_process_init() ? calloc(1, sizeof *t) : NULL;
  if (t == NULL)
    return NULL;
  t->options = *options;
  t->timer = t->alarm = t->look = t->nudge = -1;
  uq_liveness_init(&t->liveness);
  uq_poller_init(&t->poller);
  t->two = uq_easy_handle_two();
  t->reuses_dead = uq_easy_handle_reuses_dead();
  t->owner = uq_process_generation();
  return t;
}

void uq_transport_limit(struct uq_transport *t, long connections, double turn) {
  t->connections_most = connections;
  t->turn = turn;
}

bool uq_transport_forked(const struct uq_transport *t) {
  return uq_process_generation() != t->owner;
}

/* After the last one of a burst its memory goes back to the system: glibc by
** itself keeps what lies between blocks that are in use. */
static void trim(struct uq_transport *t) {
  if (t->exchanges > MAX_IDLE || t->exchanges_most < BURST)
    return;
  t->exchanges_most = t->exchanges;
#if defined(__GLIBC__)
  (void)malloc_trim(0);
#endif
}

static void free_exchange(struct uq_transfer *x) {
  struct uq_transport *t = x->transport;
  curl_easy_cleanup(x->easy);
  curl_url_cleanup(x->url);
  uq_buf_free(&x->headers);
  uq_buf_free(&x->response);
  free(x->url_text);
  uq_wipe(x, sizeof *x); /* headers of an answer may quote a token */
  free(x);
  t->exchanges--;
  trim(t);
}

/* What a forked child inherited: never used, never freed, and kept in sight. */
static struct uq_transport *abandoned;

static void abandon(struct uq_transport *t) {
  uq_poller_close(&t->poller);
  t->next = __atomic_load_n(&abandoned, __ATOMIC_RELAXED);
  while (!__atomic_compare_exchange_n(&abandoned, &t->next, t, true,
                                      __ATOMIC_RELEASE, __ATOMIC_RELAXED))
    continue;
}

void uq_transport_free(struct uq_transport *t) {
  struct uq_sigpipe guard;
  if (uq_transport_forked(t)) {
    abandon(t);
    return;
  }
  uq_sigpipe_hold(&guard);
  while (t->idle != NULL) {
    struct uq_transfer *x = t->idle;
    t->idle = x->next;
    free_exchange(x);
  }
  uq_sigpipe_release(&guard);
  close_multi(t);
  uq_poller_close(&t->poller); /* after the multi: it still unwatches */
  uq_liveness_free(&t->liveness);
  free(t);
}

/* ------------------------------------------------------------------------ */
/* exchanges                                                                 */
/* ------------------------------------------------------------------------ */

struct uq_transfer *uq_transfer_acquire(struct uq_transport *t) {
  struct uq_transfer *x = t->idle;
  if (x != NULL) {
    t->idle = x->next;
    t->idle_count--;
    x->next = NULL;
    return x;
  }
  x = calloc(1, sizeof *x);
  if (x == NULL)
    return NULL;
  x->transport = t;
  x->pending.liveness = &t->liveness;
  x->pending.exchange = x;
  x->pending.received = &x->received;
  if (++t->exchanges > t->exchanges_most)
    t->exchanges_most = t->exchanges;
  uq_buf_init(&x->headers, MAX_REQUEST_HEADERS);
  uq_buf_init(&x->response, 0);
  x->easy = x->pending.easy = curl_easy_init();
  x->url = curl_url();
  if (x->easy == NULL || x->url == NULL) {
    free_exchange(x);
    return NULL;
  }
  x->setup = uq_easy_handle_setup(x->easy, &t->options);
  if (x->setup == CURLE_OK)
    x->setup = set_callbacks(x);
  return x;
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
    if (line == &x->lines[MAX_HEADERS - 1])
      return CURLE_BAD_FUNCTION_ARGUMENT;
    line->next = line + 1;
    line++;
    line->data = x->headers.data + at;
    at += strlen(line->data) + 1;
  }
  line->next = NULL;
  return CURLE_OK;
}

/* Parses the URL, unless it is the one of the last request. */
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

/*
** A lone call costs a third less over 1.1; side by side they would need a
** connection each. Both at once do not go together: libcurl, seeing an answer
** over 1.1, thinks that the host cannot multiplex, and takes an idle connection
** of 1.1 for a request that would rather have 2. So the connections of the one
** are closed before the other begins.
*/
static void expect_crowd(struct uq_transport *t) {
  if (t->crowd || t->in_flight > 0)
    return;
  if (t->options.http_version == UQ_HTTP_AUTO)
    close_multi(t);
  t->crowd = true;
}

static enum uq_http_version wanted_version(const struct uq_transfer *x) {
  const struct uq_transport *t = x->transport;
  if (!x->encrypted)
    return UQ_HTTP_1_1;
  if (t->options.http_version != UQ_HTTP_AUTO)
    return t->options.http_version;
  return t->crowd && t->two ? UQ_HTTP_2 : UQ_HTTP_1_1;
}

/* The limit on connections for requests that offer HTTP/2; 0: none. */
static long limit_two(const struct uq_transport *t) {
  long limit = 2 + (long)(t->in_flight / STREAMS);
  if (t->spoken >= CURL_HTTP_VERSION_2_0)
    return limit;
  if (t->spoken != 0 || (t->in_flight < STREAMS && t->ended == 0))
    return 0;
  return t->ended > limit ? t->ended : limit;
}

/* How many connections the requests in flight may share. libcurl by itself
** opens one for each request that finds the first connection full, or that it
** sends again because the connection has ended. So there is a limit where
** HTTP/2 is spoken; and where it is only offered, until the next handshake
** tells, for a large crowd and for one whose connection has ended. */
static void limit_connections(struct uq_transport *t) {
  long limit = t->offers_two ? limit_two(t) : 0, before = t->liveness.limit;
  if (t->connections_most > 0 && (limit == 0 || limit > t->connections_most))
    limit = t->connections_most;
  if (limit == before)
    return;
  if (before != 0 && (limit == 0 || limit > before))
    t->look = uq_clock(); /* for those that wait */
  t->liveness.limit = limit;
  (void)curl_multi_setopt(t->multi, CURLMOPT_MAX_HOST_CONNECTIONS, limit);
}

/* Which of the two is due first; below 0: neither is due. */
static double first(double a, double b) {
  return b < 0 || (a >= 0 && a < b) ? a : b;
}

static curl_socket_t no_socket(void *unused, curlsocktype type,
                               struct curl_sockaddr *address) {
  (void)unused, (void)type, (void)address;
  return CURL_SOCKET_BAD;
}

/* Sets a handle so that its request fails before there is a socket. No base_url
** may lead to its host, so that it is never given an open connection. (With
** CURLOPT_FRESH_CONNECT libcurl 8.22 would not look for dead ones.) */
static CURLcode set_nowhere(CURL *easy) {
  UQ_SET(easy, CURLOPT_URL, "http://0.0.0.0:1/");
  UQ_SET(easy, CURLOPT_NOPROXY, "*");
  UQ_SET(easy, CURLOPT_OPENSOCKETFUNCTION, no_socket);
  UQ_SET(easy, CURLOPT_NOSIGNAL, 1L);
  return CURLE_OK;
}

/* A request that goes nowhere, from its start to its end. If it closes, there
** is no room for its connection: libcurl makes some, and for that closes idle
** ones, all or the oldest. */
static CURLMcode go_nowhere(struct uq_transport *t, bool closes) {
  int running;
  CURL *easy = curl_easy_init();
  CURLMcode code = CURLM_OUT_OF_MEMORY;
  if (easy != NULL && set_nowhere(easy) == CURLE_OK)
    code = curl_multi_add_handle(t->multi, easy);
  if (code == CURLM_OK) {
    if (closes)
      (void)curl_multi_setopt(t->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, 1L);
    code = curl_multi_socket_action(t->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    if (closes)
      (void)curl_multi_setopt(t->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, 0L);
    (void)curl_multi_remove_handle(t->multi, easy);
  } else {
    code = CURLM_OK; /* later, then */
    t->look = first(t->look, uq_clock() + LOOK_AGAIN);
  }
  curl_easy_cleanup(easy);
  return code;
}

/* Closes the idle connections that were shut down, where libcurl would use them
** again, and others with them. If there are no others, all is closed: otherwise
** libcurl 7.88 would remember of the host that it spoke 1.1. */
static CURLMcode close_dead(struct uq_transport *t) {
  struct uq_activity *a = &t->liveness.activity;
  CURLMcode code = CURLM_OK;
  if (!t->reuses_dead || t->multi == NULL || !uq_activity_has_dead(a))
    return CURLM_OK;
  if (t->in_flight == 0 && t->liveness.idle.count == 0) {
    close_multi(t);
    (void)open_multi(t); /* the next request finds out if it fails */
    return CURLM_OK;
  }
  unsigned before = t->closed - 1;
  while (code == CURLM_OK && t->closed != before && uq_activity_has_dead(a)) {
    before = t->closed;
    code = go_nowhere(t, true);
  }
  t->look = uq_clock(); /* for requests that this has made wait */
  return code;
}

/* No request is to meet a connection that was shut down. */
static void clear_way(struct uq_transport *t) {
  struct uq_liveness *l = &t->liveness;
  struct uq_sigpipe guard;
  if (!t->reuses_dead)
    return;
  (void)uq_idle_connections_check_dead(&l->idle, &l->activity, l->now);
  if (!uq_activity_has_dead(&l->activity))
    return;
  uq_sigpipe_hold(&guard);
  (void)close_dead(t);
  uq_sigpipe_release(&guard);
}

/* Makes libcurl close dead connections, and look at the requests that wait for
** one. It has no function for either, but does the first when a request begins,
** if it has not done so within the last second, and the second when a request
** is taken out: so here is a request that goes nowhere. */
static CURLMcode look(struct uq_transport *t) {
  double again = t->look_again ? uq_clock() + LOOK_AGAIN : -1;
  t->look_again = false;
  CURLMcode code = close_dead(t);
  t->look = again;
  return code == CURLM_OK && t->multi != NULL ? go_nowhere(t, false) : code;
}

/* Sets the options that are numbers where they are not so already. */
static CURLcode set_numbers(struct uq_transfer *x, const long *numbers) {
  static const CURLoption options[NUMBERS] = {
      CURLOPT_TIMEOUT_MS, CURLOPT_CONNECTTIMEOUT_MS, CURLOPT_MAXFILESIZE,
      CURLOPT_FRESH_CONNECT};
  for (int i = 0; i < NUMBERS; i++) {
    if (x->numbers[i] == numbers[i])
      continue;
    UQ_SET(x->easy, options[i], numbers[i]);
    x->numbers[i] = numbers[i];
  }
  return CURLE_OK;
}

static CURLcode set_request(struct uq_transfer *x, const struct uq_request *r) {
  struct uq_liveness *l = &x->transport->liveness;
  CURL *easy = x->easy;
  CURLcode code = x->setup;
  if (code == CURLE_OK)
    code = set_url(x, r->url);
  if (code == CURLE_OK)
    code = link_headers(x);
  if (code != CURLE_OK)
    return code;
  enum uq_http_version version = wanted_version(x);
  if (version == UQ_HTTP_2 && !x->transport->two)
    return CURLE_NOT_BUILT_IN;
  x->pending.multiplexed = version == UQ_HTTP_2;
  x->transport->offers_two = version == UQ_HTTP_2 && x->transport->crowd;
  if (x->impatient)
    x->version = UQ_HTTP_AUTO;
  x->impatient = false;
  code = uq_easy_handle_version(easy, &x->version, version);
  if (code != CURLE_OK)
    return code;
  if (r->body != NULL)
    UQ_SET(easy, CURLOPT_POSTFIELDS, r->body); /* makes it a POST */
  else
    UQ_SET(easy, CURLOPT_HTTPGET, 1L);
  bool fresh = r->fresh ||
               uq_idle_connections_check_dead(&l->idle, &l->activity, l->now);
  const long numbers[NUMBERS] = {r->timeout_ms, r->connect_timeout_ms,
                                 (long)r->max_response_bytes, fresh};
  return set_numbers(x, numbers);
}

/* When a step is due for the transport's own sake; below 0: never. */
static double own_due(const struct uq_transport *t) {
  return first(first(t->timer, t->liveness.check), first(t->look, t->nudge));
}

/* Sets the poller's timer to what is due first. */
static void set_timer(struct uq_transport *t) {
  uq_poller_timer(&t->poller, first(own_due(t), t->alarm));
}

/* The exchange is out of the multi handle, or left in a parent's. */
static void leave_multi(struct uq_transfer *x) {
  uq_pending_end(&x->pending);
  x->in_multi = false;
  x->transport->in_flight--;
}

static void finish(struct uq_transfer *x, CURLcode code) {
  if (x->in_multi) {
    curl_multi_remove_handle(x->transport->multi, x->easy);
    leave_multi(x);
  }
  x->code = code;
  x->done = true;
  if (x->owner != NULL)
    x->transport->options.done(x->owner);
}

/* Without an open connection of 1.1 the version is unknown again: the server
** may have been replaced. (Where libcurl does not tell what a handshake agrees
** on, the version is kept.) */
static void forget_version(const struct uq_transfer *x) {
  struct uq_transport *t = x->transport;
  if (t->in_flight == 0 && t->liveness.idle.count == 0 && x->pending.told &&
      t->spoken == CURL_HTTP_VERSION_1_1)
    t->spoken = 0;
}

void uq_transfer_start(struct uq_transfer *x, const struct uq_request *r) {
  struct uq_transport *t = x->transport;
  if (r->crowd)
    expect_crowd(t);
  t->liveness.now = uq_clock();
  clear_way(t);
  int error = open_multi(t);
  x->owner = r->owner;
  x->response.max = r->max_response_bytes;
  memset(&x->received, 0, sizeof x->received);
  x->refused = UQ_OK;
  x->error[0] = '\0';
  x->started = x->done = false;
  uq_pending_init(&x->pending, r->endpoint, (double)r->timeout_ms / 1000,
                  r->silence);
  x->start_errno = error;
  x->socket_errno = 0;
  x->request_size = 0;
  if (error != 0) {
    snprintf(x->error, sizeof x->error, "cannot open a poller: %s",
             strerror(error));
    finish(x, CURLE_COULDNT_CONNECT);
    return;
  }
  CURLcode code = set_request(x, r);
  if (code != CURLE_OK) {
    finish(x, code);
    return;
  }
  forget_version(x);
  limit_connections(t);
  CURLMcode added = curl_multi_add_handle(t->multi, x->easy);
  x->started = x->in_multi = added == CURLM_OK;
  if (x->started) {
    uq_pending_begin(&x->pending);
    t->in_flight++;
  } else {
    finish(x, added == CURLM_OUT_OF_MEMORY ? CURLE_OUT_OF_MEMORY
                                           : CURLE_FAILED_INIT);
  }
}

bool uq_transfer_done(const struct uq_transfer *x) { return x->done; }

int uq_transfer_resends(const struct uq_transfer *x) {
  return x->pending.resends;
}

static void stop_exchange(struct uq_transfer *x, CURLcode code);

/* Takes the exchange out of the multi handle, if it is there: a parent's stays,
** never to be touched again. False: it must not be used again. */
static bool retire(struct uq_transfer *x) {
  if (uq_transport_forked(x->transport)) {
    if (x->in_multi)
      leave_multi(x);
    return true;
  }
  if (x->in_multi)
    stop_exchange(x, CURLE_ABORTED_BY_CALLBACK);
  return x->code == CURLE_OK; /* libcurl keeps traces of a failure */
}

void uq_transfer_release(struct uq_transfer *x) {
  struct uq_transport *t = x->transport;
  x->owner = NULL;
  if (!retire(x) || t->idle_count >= MAX_IDLE) {
    free_exchange(x);
    return;
  }
  uq_buf_clear(&x->headers);
  uq_buf_clear(&x->response);
  x->done = false;
  x->next = t->idle;
  t->idle = x;
  t->idle_count++;
}

/* What libcurl reports otherwise than it is, or not at all. NULL: nothing. */
static const char *correct(const struct uq_transfer *x, struct uq_response *a) {
  bool in_headers = x->received.bytes > 0 && !x->received.complete;
  if (x->refused != UQ_OK) {
    a->kind = x->refused;
    return x->refused_why;
  }
  if (x->pending.exhausted) {
    a->kind = UQ_CONNECT;
    a->outcome_unknown = true;
    return "the request was refused, or its connection closed, before an "
           "answer; and again when libcurl had sent it once more";
  }
  switch ((int)x->code) {
  case CURLE_OK:
    if (x->received.status != 0 && x->received.status != a->status) {
      a->kind = UQ_PROTOCOL; /* libcurl 8 reads an odd version as 200 */
      a->status = 0;
      return "the status line of the answer is malformed";
    }
    if (x->received.complete)
      return NULL;
    a->kind = UQ_CONNECT;
    a->outcome_unknown = true;
    return "the connection was closed within the response headers";
  case CURLE_FILESIZE_EXCEEDED: /* by its Content-Length */
    return body_too_large;
  case CURLE_OUT_OF_MEMORY:
    if (!in_headers)
      return NULL;
    a->kind = UQ_TOO_LARGE; /* for libcurl, a line's limit is its memory's */
    return "a response header line is too large";
  case UQ_CURLE_TOO_LARGE:
    return in_headers ? "the response headers are too large" : NULL;
  case CURLE_FAILED_INIT:
    if ((x->pending.sent == 0 || !x->pending.told) &&
        strstr(x->error, "no filter connected") == NULL)
      return NULL;
    a->kind = UQ_CONNECT; /* libcurl 7.88 has given it a connection whose tunnel
                             through a proxy was not there yet */
    a->outcome_unknown = true;
    a->never_sent = x->pending.resends == 0; /* else an earlier one was sent */
    return "the connection was not open yet";
  case CURLE_OPERATION_TIMEDOUT:
    if (strncmp(x->error, "Failed to resolve", 17) != 0 ||
        x->version != UQ_HTTP_2)
      return NULL; /* else its time was over before it got so far as that */
    return "no connection came free within the timeout";
  case CURLE_BAD_FUNCTION_ARGUMENT:
    if (x->received.bytes == 0)
      return NULL;
    a->kind = UQ_PROTOCOL; /* its parser's word for trailers that are none */
    return "the answer is malformed";
  default:
    if (strncmp(x->error, "Unsupported proxy", 17) != 0)
      return NULL;
    a->kind = UQ_CONFIG; /* the text quotes its password */
    a->outcome_unknown = false;
    return "the proxy of the environment is none that libcurl knows";
  }
}

/* The lack of descriptors that a transfer failed for: an errno, or 0. libcurl
** does not tell. */
static int find_lack(const struct uq_transfer *x) {
  int error = x->socket_errno;
  switch (x->code) {
  case CURLE_COULDNT_CONNECT:
  case CURLE_ABORTED_BY_CALLBACK:
    return error == EMFILE || error == ENFILE ? error : 0;
  case CURLE_COULDNT_RESOLVE_HOST:
  case CURLE_COULDNT_RESOLVE_PROXY:
  case CURLE_FAILED_INIT:
  case CURLE_OUT_OF_MEMORY:
  case CURLE_SSL_CACERT_BADFILE:
  case CURLE_PEER_FAILED_VERIFICATION: /* its authority may be in a file */
    return x->received.bytes == 0 ? uq_process_lack() : 0;
  default:
    return 0;
  }
}

/* True: names the lack. */
static bool name_lack(const struct uq_transfer *x, struct uq_response *a) {
  int error = find_lack(x);
  if (error == 0)
    return false;
  a->os_errno = error;
  if (a->kind == UQ_CONFIG || a->kind == UQ_MEMORY) {
    a->kind = UQ_CONNECT;
    a->outcome_unknown = true;
  }
  size_t len = strlen(a->message);
  snprintf(a->message + len, sizeof a->message - len, ": %s", strerror(error));
  return true;
}

/* True if the CA certificates were the reason: names it. */
static bool name_trust(const struct uq_transfer *x, struct uq_response *a) {
  const struct uq_transport_options *o = &x->transport->options;
  const char *path, *wrong;
  int error;
  if (x->code != CURLE_SSL_CACERT_BADFILE &&
      x->code != CURLE_PEER_FAILED_VERIFICATION)
    return false;
  wrong = uq_trust_chosen_fault(o, &path, &error);
  if (wrong == NULL && x->code == CURLE_SSL_CACERT_BADFILE && path != NULL)
    wrong = "no certificate in it that the TLS library takes";
  if (wrong == NULL)
    return false;
  a->kind = UQ_CONFIG;
  a->os_errno = error;
  snprintf(a->message, sizeof a->message, "%s: %s: %s",
           path == o->ca_file   ? "ca_file"
           : path == o->ca_path ? "ca_path"
                                : "the system's CA certificates",
           wrong, path);
  return true;
}

/* What libcurl has to say of a failed transfer. */
static void describe(const struct uq_transfer *x, struct uq_response *a) {
  const char *message =
      x->error[0] != '\0' ? x->error : curl_easy_strerror(x->code);
  struct uq_curl_error o = uq_curl_error_of(x->code, message);
  long os_errno = x->start_errno;
  a->kind = o.kind;
  a->outcome_unknown = o.outcome_unknown;
  a->curl_code = (int)x->code;
  a->curl_name = o.name;
  if (x->started && o.has_errno) /* it may be of another transfer otherwise */
    curl_easy_getinfo(x->easy, CURLINFO_OS_ERRNO, &os_errno);
  a->os_errno = (int)os_errno;
  snprintf(a->message, sizeof a->message, "%s", message);
  if (!x->started)
    return;
  if (uq_curl_error_proxy(x->easy, x->code, &a->outcome_unknown, a->message,
                          sizeof a->message))
    a->kind = UQ_CONNECT;
  else if (!name_lack(x, a) && !name_trust(x, a) && a->connects > 0 &&
           x->received.bytes == 0)
    snprintf(a->message, sizeof a->message, "%s%s", message,
             uq_curl_error_hint(x->code, !a->plain, message));
}

static int status_of(const struct uq_transfer *x) {
  long status = 0;
  curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
  return (int)status;
}

/* Moves the content of a buffer; what is left is empty. */
static void move(struct uq_buf *to, struct uq_buf *from) {
  *to = *from;
  uq_buf_init(from, to->max);
}

/* True if the answer came over HTTP/2 without a length, and this libcurl takes
** RST_STREAM without an error for its end: it does so from 8.3 on. */
static bool is_unframed(const struct uq_transfer *x) {
  long version = CURL_HTTP_VERSION_NONE;
  curl_off_t length = 0;
  if (curl_version_info(CURLVERSION_NOW)->version_num < 0x080300)
    return false;
  curl_easy_getinfo(x->easy, CURLINFO_HTTP_VERSION, &version);
  curl_easy_getinfo(x->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
  return version >= CURL_HTTP_VERSION_2_0 && length < 0;
}

void uq_transfer_take(struct uq_transfer *x, struct uq_response *a) {
  a->status = x->started ? status_of(x) : 0;
  if (x->started) {
    curl_easy_getinfo(x->easy, CURLINFO_NUM_CONNECTS, &a->connects);
    a->plain = !x->encrypted;
  }
  a->received = x->received;
  if (x->code != CURLE_OK)
    describe(x, a);
  a->dead = x->pending.dead != NULL;
  a->fresh = x->pending.fresh;
  a->unframed = x->code == CURLE_OK && is_unframed(x);
  const char *correction = correct(x, a);
  if (correction != NULL)
    snprintf(a->message, sizeof a->message, "%s", correction);
  move(&a->sent, &x->headers);
  move(&a->body, &x->response);
  uq_transfer_release(x);
}

void uq_response_free(struct uq_response *a) {
  uq_buf_free(&a->sent);
  uq_buf_free(&a->body);
  memset(a, 0, sizeof *a);
}

/* ------------------------------------------------------------------------ */
/* steps                                                                     */
/* ------------------------------------------------------------------------ */

/* curl's multi handle is out of order: nothing in flight will ever finish. */
static void fail_all(struct uq_transport *t, CURLMcode code) {
  while (t->liveness.requests != NULL) {
    struct uq_transfer *x = t->liveness.requests->exchange;
    snprintf(x->error, sizeof x->error, "%s", curl_multi_strerror(code));
    finish(x, code == CURLM_OUT_OF_MEMORY ? CURLE_OUT_OF_MEMORY
                                          : CURLE_FAILED_INIT);
  }
}

/* The server has closed idle connections, or spoiled them, as the events of
** resting descriptors tell: those events are taken out, before curl can use the
** connections. The server is told at once, curl closes them in look().
** What comes over HTTP/2 on its own harms nothing; curl reads it at the next
** request. Returns how many events are left. */
static int take_resting(struct uq_transport *t, struct uq_event *events,
                        int count) {
  int left = 0;
  for (int i = 0; i < count; i++) {
    int fd = events[i].fd;
    if (!(events[i].what & UQ_POLL_REST)) {
      events[left++] = events[i];
      continue;
    }
    if (!uq_idle_connections_remove(&t->liveness.idle, fd) &&
        !(events[i].what & UQ_POLL_ERR))
      continue;
    (void)uq_poller_watch(&t->poller, fd, UQ_POLL_NONE);
    uq_activity_shut(&t->liveness.activity, fd);
    uq_idle_connections_shut(fd);
    t->look = first(t->look, uq_clock() + LOOK_SOON);
    t->look_again = true;
  }
  return left;
}

/* If the event says that the peer has ended a connection, libcurl is about to
** send the requests on it again: see limit_connections. */
static void note_end(struct uq_transport *t, const struct uq_event *event) {
  if (!t->offers_two || t->spoken != 0 || t->in_flight < 2)
    return;
  if (!(event->what & UQ_POLL_ERR) && !uq_activity_ended(event->fd))
    return;
  t->ended = uq_activity_count(&t->liveness.activity);
  limit_connections(t);
}

/* After a refusal libcurl 8.23 may forget a request: what it has read for it
** along with another's answer stays where it is, until some event on the
** connection. So there is one, less and less often, for those that went out
** before the last repetition. */
static CURLMcode nudge(struct uq_transport *t) {
  double now = uq_clock();
  int running, last = -1;
  CURLMcode code = CURLM_OK;
  t->nudge = -1;
  for (struct uq_pending *p = t->liveness.requests;
       p != NULL && code == CURLM_OK; p = p->next) {
    if (p->sent == 0 || p->sent > t->repeated || !p->multiplexed)
      continue;
    t->nudge = first(t->nudge, now + fmax(LOOK_SOON, now - p->sent));
    int fd = uq_pending_connection(p);
    if (fd < 0 || fd == last)
      continue;
    last = fd;
    code = curl_multi_socket_action(
        t->multi, fd, CURL_CSELECT_IN | CURL_CSELECT_OUT, &running);
  }
  return code;
}

/* Hands curl the events. Those that are left behind are reported again. */
static CURLMcode act(struct uq_transport *t, const struct uq_event *events,
                     int count) {
  int running;
  CURLMcode code = CURLM_OK;
  if (count > 0)
    t->liveness.now = uq_clock();
  double end = t->turn > 0 ? t->liveness.now + t->turn : HUGE_VAL;
  for (int i = 0; i < count && code == CURLM_OK && t->liveness.now < end; i++) {
    int what = (events[i].what & UQ_POLL_IN ? CURL_CSELECT_IN : 0) |
               (events[i].what & UQ_POLL_OUT ? CURL_CSELECT_OUT : 0) |
               (events[i].what & UQ_POLL_ERR ? CURL_CSELECT_ERR : 0);
    note_end(t, &events[i]);
    if (events[i].what & UQ_POLL_IN)
      uq_activity_touch(&t->liveness.activity, events[i].fd, t->liveness.now);
    code = curl_multi_socket_action(t->multi, events[i].fd, what, &running);
    if (t->turn > 0)
      t->liveness.now = uq_clock();
  }
  t->liveness.now = uq_clock();
  if (code == CURLM_OK && t->timer >= 0 && t->liveness.now >= t->timer) {
    t->timer = -1; /* curl sets it anew if it has a need */
    code = curl_multi_socket_action(t->multi, CURL_SOCKET_TIMEOUT, 0, &running);
  }
  return code;
}

/* Which version the server speaks to a request that offered HTTP/2. While there
** has been no answer at all, only HTTP/2 sends a request on a connection that
** another has opened. */
static void note_version(const struct uq_transfer *x) {
  struct uq_transport *t = x->transport;
  long version = CURL_HTTP_VERSION_NONE, sent = 0, opened = 1;
  if (x->version != UQ_HTTP_2)
    return;
  curl_easy_getinfo(x->easy, CURLINFO_HTTP_VERSION, &version);
  if (version == CURL_HTTP_VERSION_NONE && t->spoken == 0) {
    curl_easy_getinfo(x->easy, CURLINFO_REQUEST_SIZE, &sent);
    curl_easy_getinfo(x->easy, CURLINFO_NUM_CONNECTS, &opened);
    if (sent > 0 && opened == 0)
      version = CURL_HTTP_VERSION_2_0;
  }
  if (version != CURL_HTTP_VERSION_NONE)
    t->spoken = version;
}

/* True if libcurl's text says that the HTTP/2 session is broken, and not only a
** stream. */
static bool is_session_broken(const struct uq_transfer *x) {
  const char *text = x->error;
  size_t len = strlen(text);
  if (uq_begins(text, len, "nghttp2 "))
    return true;
  return x->code == CURLE_HTTP2 && len > 0 &&
         !uq_begins(text, len, "HTTP/2 stream ") &&
         !uq_begins(text, len, "[HTTP2] [");
}

/* A request has failed: over HTTP/2, libcurl may keep a broken connection in
** use. It has closed the connection itself if it sent the request again. */
static void note_fault(struct uq_transfer *x) {
  if (x->pending.resends == 0 &&
      (x->code == CURLE_HTTP2 || x->code == CURLE_RECV_ERROR ||
       x->code == CURLE_SEND_ERROR) &&
      uq_pending_failed(&x->pending, is_session_broken(x)))
    x->pending.fresh = true;
}

/* Finishes the requests that were given up. */
static void finish_doomed(struct uq_transport *t) {
  struct uq_pending *next;
  t->liveness.doomed = false;
  for (struct uq_pending *p = t->liveness.requests; p != NULL; p = next) {
    struct uq_transfer *x = p->exchange;
    const char *why = uq_pending_fault(p);
    next = p->next;
    if (why == NULL)
      continue;
    p->dead = why;
    finish(x, CURLE_GOT_NOTHING); /* which libcurl has its own words for */
    snprintf(x->error, sizeof x->error, "%s", why);
  }
}

static void reap(struct uq_transport *t) {
  CURLMsg *message;
  int left;
  while ((message = curl_multi_info_read(t->multi, &left)) != NULL) {
    struct uq_transfer *x = NULL;
    CURLcode code =
        message->data.result; /* the message dies with the removal */
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&x);
    note_version(x);
    if (x->pending.exhausted)
      code = CURLE_GOT_NOTHING; /* libcurl reports that we stopped it */
    if (code == CURLE_OK)
      uq_pending_answered(&x->pending, status_of(x) >= 300);
    finish(x, code);
    if (code == CURLE_OPERATION_TIMEDOUT)
      uq_pending_left(&x->pending, false);
    else if (code != CURLE_OK && !x->pending.exhausted)
      note_fault(x);
  }
  uq_liveness_check(&t->liveness);
  if (t->liveness.doomed)
    finish_doomed(t);
  limit_connections(t);
}

/* Finishes an exchange in flight from above, and judges its connection. */
static void stop_exchange(struct uq_transfer *x, CURLcode code) {
  struct uq_transport *t = x->transport;
  struct uq_sigpipe guard;
  uq_sigpipe_hold(&guard);
  t->liveness.now = uq_clock();
  uq_pending_left(&x->pending, code != CURLE_OPERATION_TIMEDOUT);
  finish(x, code);
  if (t->liveness.doomed) {
    finish_doomed(t);
    /* the others' callers must see it */
    uq_liveness_check_at(&t->liveness, t->liveness.now);
  }
  uq_sigpipe_release(&guard);
}

void uq_transfer_expire(struct uq_transfer *x) {
  if (!x->in_multi || uq_transport_forked(x->transport))
    return;
  stop_exchange(x, CURLE_OPERATION_TIMEDOUT);
}

/* Waits for the caller's alarm, without a poller. */
static void rest(const struct uq_transport *t, long limit_ms) {
  double left = (t->alarm - uq_clock()) * 1000;
  if (t->alarm >= 0 && left < (double)limit_ms)
    limit_ms = left > 0 ? (long)left + 1 : 0;
  (void)poll(NULL, 0, (int)limit_ms);
}

void uq_transport_step(struct uq_transport *t, long limit_ms, double wake) {
  struct uq_event events[MAX_EVENTS];
  struct uq_sigpipe guard;
  t->alarm = wake;
  /* no request could be started, or all is the parent's: only time passes */
  if (t->multi == NULL || uq_transport_forked(t)) {
    rest(t, limit_ms);
    return;
  }
  set_timer(t);
  int count = uq_poller_wait(&t->poller, events, MAX_EVENTS, limit_ms);
  uq_sigpipe_hold(&guard);
  CURLMcode code = act(t, events, take_resting(t, events, count));
  if (code == CURLM_OK && t->look >= 0 && uq_clock() >= t->look)
    code = look(t);
  if (code == CURLM_OK && t->nudge >= 0 && uq_clock() >= t->nudge)
    code = nudge(t);
  if (code != CURLM_OK)
    fail_all(t, code);
  else
    reap(t);
  uq_sigpipe_release(&guard);
}

int uq_transport_fd(struct uq_transport *t) {
  if (open_multi(t) != 0)
    return -1;
  return uq_poller_fd(&t->poller);
}

void uq_transport_publish(struct uq_transport *t, double wake, bool notify) {
  t->alarm = wake;
  if (t->multi == NULL || !uq_poller_is_exported(&t->poller))
    return;
  set_timer(t);
  uq_poller_arm(&t->poller);
  if (notify)
    uq_poller_notify(&t->poller);
}

double uq_transport_due(const struct uq_transport *t) { return own_due(t); }

double uq_transport_idle(const struct uq_transport *t, double now) {
  double due = own_due(t), idle = uq_liveness_idle(&t->liveness, now);
  return due >= 0 ? fmin(idle, due - now) : idle;
}

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
