/*
** bare.c - the same calls on libcurl alone, as a good C programmer would write
** them plainly: a handle that is reused, a fresh key and header list for each
** call, the status looked at, the body kept and not parsed. What the client is
** measured against.
**
**   bare URL CA_FILE VERSION IN_FLIGHT MARK...
**
** VERSION is 1.1 or 2. IN_FLIGHT 1: the easy interface, one call after another;
** more: a multi handle, socket callbacks and epoll, which took fewer
** instructions than curl_multi_poll; 0: a new handle, and so a new connection,
** for each call. As many calls are made as the last MARK says; after so many
** answers each mark is told to meter.c.
** SPDX-License-Identifier: MIT
*/
#define _GNU_SOURCE
#include <curl/curl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <unistd.h>

#define TOKEN_BYTES 600
#define MAX_EVENTS 64

struct call {
  CURL *easy;
  struct curl_slist *headers;
  char *body;
  size_t len, cap;
};

struct bench {
  char url[256];
  const char *ca_file;
  long version;
  char auth[TOKEN_BYTES + 32];
  long begun, answered, total;
  char **marks; /* the ones to come; NULL ends them */
  int epoll;
  long timeout; /* ms; -1: none */
};

static void die(const char *what) {
  fprintf(stderr, "bare: %s\n", what);
  exit(1);
}

/* ------------------------------------------------------------------------ */
/* marks: see meter.c                                                        */
/* ------------------------------------------------------------------------ */

static void pass_marks(struct bench *b) {
  char answer;
  while (*b->marks != NULL && b->answered >= atol(*b->marks)) {
    if (getenv("BENCH_METER") != NULL &&
        (dprintf(3, "%s\n", *b->marks) < 0 || read(4, &answer, 1) != 1))
      die("the meter is gone");
    b->marks++;
  }
}

/* ------------------------------------------------------------------------ */
/* a call                                                                    */
/* ------------------------------------------------------------------------ */

static size_t on_body(char *bytes, size_t size, size_t n, void *userdata) {
  struct call *call = userdata;
  size_t more = size * n;
  if (call->len + more + 1 > call->cap) {
    size_t cap = (call->len + more + 1) * 2;
    char *body = realloc(call->body, cap);
    if (body == NULL)
      return 0;
    call->body = body;
    call->cap = cap;
  }
  memcpy(call->body + call->len, bytes, more);
  call->len += more;
  call->body[call->len] = '\0';
  return more;
}

/* Writes a UUID of version 4, without an end. */
static void write_key(char *text) {
  static const char hex[] = "0123456789abcdef";
  unsigned char b[16];
  if (getrandom(b, sizeof b, 0) != (ssize_t)sizeof b)
    die("no random bytes");
  b[6] = (unsigned char)((b[6] & 0x0F) | 0x40);
  b[8] = (unsigned char)((b[8] & 0x3F) | 0x80);
  for (int i = 0; i < 16; i++) {
    if (i == 4 || i == 6 || i == 8 || i == 10)
      *text++ = '-';
    *text++ = hex[b[i] >> 4];
    *text++ = hex[b[i] & 0x0F];
  }
}

static void append(struct call *call, const char *line) {
  struct curl_slist *list = curl_slist_append(call->headers, line);
  if (list == NULL)
    die("not enough memory");
  call->headers = list;
}

static void open_call(const struct bench *b, struct call *call) {
  CURL *easy = call->easy = curl_easy_init();
  if (easy == NULL)
    die("not enough memory");
  curl_easy_setopt(easy, CURLOPT_URL, b->url);
  curl_easy_setopt(easy, CURLOPT_CAINFO, b->ca_file);
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, b->version);
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, 30000L);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
  curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
  if (b->version == CURL_HTTP_VERSION_2TLS)
    curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L); /* for the one connection */
}

static void close_call(struct call *call) {
  curl_easy_cleanup(call->easy);
  curl_slist_free_all(call->headers);
  free(call->body);
  memset(call, 0, sizeof *call);
}

/* Makes the handle ready for the next request. */
static void prepare(struct bench *b, struct call *call) {
  char line[] = "x-idempotency-key: 01234567-0123-0123-0123-0123456789ab";
  write_key(strchr(line, ' ') + 1);
  curl_slist_free_all(call->headers);
  call->headers = NULL;
  append(call, "Content-Type: application/json");
  append(call, b->auth);
  append(call, line);
  curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->headers);
  curl_easy_setopt(call->easy, CURLOPT_POSTFIELDS, "{\"currency\":\"USD\"}");
  call->len = 0;
  b->begun++;
}

static void take_answer(struct bench *b, struct call *call, CURLcode code) {
  long status = 0;
  if (code != CURLE_OK)
    die(curl_easy_strerror(code));
  curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
  if (status != 200 || call->len == 0)
    die("not the answer");
  b->answered++;
  pass_marks(b);
}

/* ------------------------------------------------------------------------ */
/* one after another                                                         */
/* ------------------------------------------------------------------------ */

static void run_easy(struct bench *b, bool keep) {
  struct call call = {0};
  while (b->begun < b->total) {
    if (call.easy == NULL)
      open_call(b, &call);
    prepare(b, &call);
    take_answer(b, &call, curl_easy_perform(call.easy));
    if (!keep)
      close_call(&call);
  }
  close_call(&call);
}

/* ------------------------------------------------------------------------ */
/* many at once                                                              */
/* ------------------------------------------------------------------------ */

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *userdata,
                     void *known) {
  struct bench *b = userdata;
  struct epoll_event event = {0};
  (void)easy;
  (void)known;
  event.data.fd = fd;
  if (what & CURL_POLL_IN)
    event.events |= EPOLLIN;
  if (what & CURL_POLL_OUT)
    event.events |= EPOLLOUT;
  if (what == CURL_POLL_REMOVE)
    epoll_ctl(b->epoll, EPOLL_CTL_DEL, fd, &event);
  else if (epoll_ctl(b->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
    epoll_ctl(b->epoll, EPOLL_CTL_MOD, fd, &event);
  return 0;
}

static int on_timer(CURLM *multi, long ms, void *userdata) {
  struct bench *b = userdata;
  (void)multi;
  b->timeout = ms;
  return 0;
}

/* Waits, and lets curl go on. */
static void step(struct bench *b, CURLM *multi) {
  struct epoll_event events[MAX_EVENTS];
  int running;
  int n = epoll_wait(b->epoll, events, MAX_EVENTS, (int)b->timeout);
  if (n == 0 || b->timeout == 0)
    curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
  for (int i = 0; i < n; i++) {
    int what =
        (events[i].events & EPOLLIN ? CURL_CSELECT_IN : 0) |
        (events[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
        (events[i].events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
    curl_multi_socket_action(multi, events[i].data.fd, what, &running);
  }
}

static void run_multi(struct bench *b, int in_flight) {
  struct call *calls = calloc((size_t)in_flight, sizeof *calls);
  CURLM *multi = curl_multi_init();
  b->epoll = epoll_create1(EPOLL_CLOEXEC);
  if (calls == NULL || multi == NULL || b->epoll < 0)
    die("not enough memory");
  curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
  curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, b);
  curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
  curl_multi_setopt(multi, CURLMOPT_TIMERDATA, b);
  for (int i = 0; i < in_flight && b->begun < b->total; i++) {
    open_call(b, &calls[i]);
    prepare(b, &calls[i]);
    curl_multi_add_handle(multi, calls[i].easy);
  }
  while (b->answered < b->total) {
    CURLMsg *message;
    int left;
    step(b, multi);
    while ((message = curl_multi_info_read(multi, &left)) != NULL) {
      struct call *call;
      CURL *easy = message->easy_handle;
      CURLcode code = message->data.result;
      curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&call);
      curl_multi_remove_handle(multi, easy);
      take_answer(b, call, code);
      if (b->begun < b->total) {
        prepare(b, call);
        curl_multi_add_handle(multi, easy);
      }
    }
  }
  for (int i = 0; i < in_flight; i++)
    close_call(&calls[i]);
  curl_multi_cleanup(multi);
  close(b->epoll);
  free(calls);
}

int main(int argc, char **argv) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                               "abcdefghijklmnopqrstuvwxyz0123456789-_";
  struct bench b = {0};
  if (argc < 6)
    die("bare URL CA_FILE VERSION IN_FLIGHT MARK...");
  int in_flight = atoi(argv[4]);
  snprintf(b.url, sizeof b.url, "%s/v1/issuing/balances", argv[1]);
  b.ca_file = argv[2];
  b.version = strcmp(argv[3], "2") == 0 ? CURL_HTTP_VERSION_2TLS
                                        : CURL_HTTP_VERSION_1_1;
  b.marks = argv + 5;
  b.total = atol(argv[argc - 1]);
  size_t at = (size_t)sprintf(b.auth, "x-auth-token: Bearer ");
  for (size_t i = 0; i < TOKEN_BYTES; i++)
    b.auth[at++] = digits[i % (sizeof digits - 1)];
  curl_global_init(CURL_GLOBAL_DEFAULT);
  pass_marks(&b);
  if (in_flight > 1)
    run_multi(&b, in_flight);
  else
    run_easy(&b, in_flight == 1);
  curl_global_cleanup();
  return 0;
}
