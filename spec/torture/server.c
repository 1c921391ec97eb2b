/*
** server.c - see server.h. Paths are /WORD/v1/...: `answers` has the answer
** to WORD; to any other word ("ok") it is the API's for the rest of the path.
** Connections are kept alive.
** SPDX-License-Identifier: MIT
*/
#define _GNU_SOURCE
#include "server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_CONNECTIONS 64
#define REQUEST_MAX 8192

#define BALANCE                                                          \
  "{\"balance_id\":\"b-1\",\"currency\":\"USD\",\"available_balance\":"  \
  "5000.25,\"margin_balance\":\"0.10\",\"frozen_balance\":0,"            \
  "\"create_time\":\"2024-03-21T17:17:32+08:00\",\"last_trade_time\":\"" \
  "2024-03-21T17:17:32+08:00\",\"balance_status\":\"ACTIVE\"}"
#define PAGE(items) "{\"total_pages\":1,\"total_items\":1,\"data\":[" items "]}"

struct answer {
  const char *word;
  const char *status; /* the status line after HTTP/1.1, and headers; NULL: no
                         answer */
  const char *body;
  int more; /* bytes that are missing from the body, after which the connection
               is closed. Without a status: 0: it is closed; -1: it is silent */
};

/* For other words: the API's answers, by a part of the path. */
static const struct answer good[] = {
    {"/transactions", "200 OK",
     PAGE("{\"transaction_id\":\"t-1\",\"transaction_type\":\"DEPOSIT\","
          "\"transaction_status\":\"COMPLETED\",\"currency\":\"USD\","
          "\"amount\":-12.34,\"create_time\":\"2024-03-21T17:17:32+08:00\","
          "\"description\":null}"),
     0},
    {"/token", "200 OK",
     "{\"auth_token\":\"minted-token\",\"expired_at\":33000000000}", 0},
    {"/accounts", "200 OK",
     PAGE("{\"account_id\":\"a-1\",\"status\":\"ACTIVE\","
          "\"business_code\":[\"ISSUING\"]}"),
     0},
    {NULL, NULL, NULL, 0}};
static const struct answer balance = {"", "200 OK", BALANCE, 0};
static const struct answer balances = {"", "200 OK", PAGE(BALANCE), 0};

/* By WORD. "nested" is for lua-cjson: the fast decoder accepts no nested
** values. */
static const struct answer answers[] = {
    {"nested", "200 OK\r\nX-Request-Id: r-1",
     "{\"balance_id\":\"b-\\u0031\",\"currency\":\"USD\",\"available_balance\":"
     "5000.25,\"margin_balance\":0.10,\"frozen_balance\":0,\"create_time\":\"\""
     ",\"last_trade_time\":\"\",\"balance_status\":\"ACTIVE\",\"more\":"
     "{\"count\":7,\"list\":[1,2,null]}}",
     0},
    {"refused", "400 Bad Request\r\nX-Request-Id: r-2",
     "{\"type\":\"invalid_request_error\",\"code\":\"E-1\",\"message\":\"no "
     "such "
     "thing\",\"missing_fields\":[\"currency\",\"amount\"]}",
     0},
    {"key", "400 Bad Request",
     "{\"type\":\"idempotency_error\",\"code\":7,\"message\":\"seen\"}", 0},
    {"401", "401 Unauthorized\r\nX-Request-Id: r-3",
     "{\"code\":\"unauthorized\",\"message\":\"Token expired\"}", 0},
    {"403", "403 Forbidden", "{\"code\":403,\"message\":\"no\"}", 0},
    {"404", "404 Not Found", "<html>no</html>", 0},
    {"409", "409 Conflict", "{\"message\":\"conflict\"}", 0},
    {"429", "429 Too Many Requests\r\nRetry-After: 2",
     "{\"message\":\"slowly\",}", 0},
    {"500", "500 Internal Server Error", "{\"error\":\"oh\"}", 0},
    {"302", "302 Found\r\nLocation: https://127.0.0.1/else", "", 0},
    {"junk", "200 OK", "{\"balance_id\":", 0},
    {"empty", "200 OK", "", 0},
    {"schema", "200 OK", "{\"balance_id\":\"b-1\",\"currency\":\"USD\"}", 0},
    {"currency", "200 OK",
     "{\"balance_id\":\"b-1\",\"currency\":\"EUR\",\"available_balance\":1,"
     "\"margin_balance\":0,\"frozen_balance\":0,\"create_time\":\"\","
     "\"last_trade_time\":\"\",\"balance_status\":\"ACTIVE\"}",
     0},
    {"large", "200 OK", "{}", 4000},
    {"short", "200 OK", "{\"balance_id\":", 100},
    {"cut", NULL, NULL, 0},
    {"silent", NULL, NULL, -1},
    {NULL, NULL, NULL, 0}};

struct connection {
  char request[REQUEST_MAX];
  size_t len;
};

static const struct answer *find_answer(const char *request, size_t path_len) {
  const char *word = strchr(request, '/') + 1;
  for (const struct answer *a = answers; a->word != NULL; a++) {
    size_t n = strlen(a->word);
    if (strncmp(word, a->word, n) == 0 && word[n] == '/')
      return a;
  }
  for (const struct answer *a = good; a->word != NULL; a++) {
    if (memmem(request, path_len, a->word, strlen(a->word)) != NULL)
      return a;
  }
  return request[0] == 'G' ? &balances : &balance;
}

/* Answers the requests that are complete. False: close the connection. */
static bool serve(int fd, struct connection *c) {
  char text[2048];
  char *blank;
  while ((blank = memmem(c->request, c->len, "\r\n\r\n", 4)) != NULL) {
    size_t size = (size_t)(blank - c->request) + 4;
    const char *length = memmem(c->request, size, "Content-Length: ", 16);
    if (length != NULL)
      size += (size_t)atoi(length + 16);
    if (c->len < size)
      return true;
    const char *end = memmem(c->request, c->len, " HTTP/1.1", 9);
    const struct answer *a =
        find_answer(c->request, (size_t)(end - c->request));
    if (a->status == NULL && a->more == 0)
      return false;
    c->len -= size;
    memmove(c->request, c->request + size, c->len);
    if (a->status == NULL)
      continue;
    int n = snprintf(text, sizeof text,
                     "HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s", a->status,
                     (int)strlen(a->body) + a->more, a->body);
    if (send(fd, text, (size_t)n, MSG_NOSIGNAL) != n || a->more > 0)
      return false;
  }
  return c->len < sizeof c->request;
}

static bool receive(int fd, struct connection *c) {
  static const char plain_http[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
  ssize_t n = recv(fd, c->request + c->len, sizeof c->request - c->len, 0);
  if (n <= 0)
    return n < 0 && errno == EINTR;
  c->len += (size_t)n;
  if (c->request[0] >= 'A' && c->request[0] <= 'Z')
    return serve(fd, c);
  /* a TLS handshake */
  (void)send(fd, plain_http, sizeof plain_http - 1, MSG_NOSIGNAL);
  return false;
}

static void run(int listener) {
  static struct connection connections[MAX_CONNECTIONS + 1];
  struct pollfd fds[MAX_CONNECTIONS + 1];
  int count = 1, one = 1;
  fds[0].fd = listener;
  fds[0].events = POLLIN;
  for (;;) {
    fds[0].revents = 0;
    if (poll(fds, (nfds_t)count, -1) < 0)
      continue;
    for (int i = count - 1; i > 0; i--) {
      if (fds[i].revents == 0 || receive(fds[i].fd, &connections[i]))
        continue;
      close(fds[i].fd);
      fds[i] = fds[--count];
      connections[i] = connections[count];
    }
    if (fds[0].revents == 0)
      continue;
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
      continue;
    if (count > MAX_CONNECTIONS) {
      close(fd);
      continue;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    connections[count].len = 0;
    fds[count].fd = fd;
    fds[count].events = POLLIN;
    fds[count++].revents = 0;
  }
}

static void die(const char *what) {
  perror(what);
  exit(2);
}

int server_start(void) {
  struct sockaddr_in address = {.sin_family = AF_INET};
  socklen_t size = sizeof address;
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (listener < 0 ||
      bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
      listen(listener, 64) != 0 ||
      getsockname(listener, (struct sockaddr *)&address, &size) != 0)
    die("no server");
  pid_t parent = getpid(), child = fork();
  if (child < 0)
    die("fork");
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent)
      run(listener);
    _exit(0);
  }
  close(listener);
  return ntohs(address.sin_port);
}
