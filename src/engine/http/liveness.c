/*
** liveness.c - see liveness.h.
** SPDX-License-Identifier: MIT
*/
#include "engine/http/liveness.h"

#include <math.h>
#include <poll.h>
#include <string.h>

#include "engine/http/connections.h"
#include "engine/http/latency.h"
#include "engine/http/response_headers.h"

#define SILENCE 5.0  /* seconds after which a shared connection is dead */
#define NO_ACK 4.0   /* seconds without an acknowledgement: dead */
#define MIN_WAIT 1.0 /* seconds; a shorter wait says nothing */
#define CLOSED 2     /* connections that are found closed, in a row */
#define RESENDS 1    /* by libcurl of a request sent on a new connection */
#define PATIENCE 1.5 /* times the slowest recent response */

void uq_liveness_init(struct uq_liveness *l) {
  memset(l, 0, sizeof *l);
  l->check = -1;
}

void uq_liveness_free(struct uq_liveness *l) {
  uq_connections_free(&l->connections);
}

void uq_pending_init(struct uq_pending *p, int endpoint, double timeout,
                     double silence) {
  struct uq_liveness *l = p->liveness;
  p->latency = &l->latencies[endpoint];
  p->begun = l->now;
  p->deadline = timeout > 0 ? l->now + timeout : 0;
  p->silence = silence;
  p->sent = p->reports_sent ? 0 : l->now;
  p->first_sent = p->sent;
  p->resends = 0;
  p->exhausted = p->reused = p->fresh = false;
  p->dead = NULL;
}

void uq_pending_begin(struct uq_pending *p) {
  struct uq_liveness *l = p->liveness;
  p->next = l->requests;
  p->prev = NULL;
  if (p->next != NULL)
    p->next->prev = p;
  l->requests = p;
  l->in_flight++;
  if (!p->reports_sent)
    uq_liveness_check_at(l, l->now + MIN_WAIT);
}

void uq_pending_end(struct uq_pending *p) {
  struct uq_liveness *l = p->liveness;
  if (p->prev != NULL)
    p->prev->next = p->next;
  else
    l->requests = p->next;
  if (p->next != NULL)
    p->next->prev = p->prev;
  p->next = p->prev = NULL;
  l->in_flight--;
  if (l->requests == NULL)
    l->check = -1;
}

void uq_liveness_check_at(struct uq_liveness *l, double when) {
  if (l->check < 0 || when < l->check)
    l->check = when;
}

bool uq_pending_may_resend(struct uq_pending *p) {
  bool responds = p->multiplexed && p->liveness->responded > p->first_sent;
  p->exhausted = p->resends >= (p->reused ? CLOSED : RESENDS) && !responds;
  return !p->exhausted;
}

/* After two closed connections those without a request are given up untried. */
void uq_pending_resent(struct uq_pending *p) {
  struct uq_liveness *l = p->liveness;
  p->resends++;
  if (!p->multiplexed)
    l->closed++;
  if ((p->multiplexed ? p->resends : l->closed) >= CLOSED)
    uq_connections_shut_unused(&l->connections, p->sent);
}

bool uq_pending_sent(struct uq_pending *p) {
  struct uq_liveness *l = p->liveness;
  long opened = 1;
  if (p->sent == 0)
    p->first_sent = l->now;
  else if (uq_pending_may_resend(p))
    uq_pending_resent(p);
  else
    return false;
  curl_easy_getinfo(p->easy, CURLINFO_NUM_CONNECTS, &opened);
  p->reused = opened == 0;
  p->sent = l->now;
  uq_liveness_check_at(
      l, p->sent + (p->silence > 0 ? fmin(p->silence, NO_ACK) : NO_ACK));
  return true;
}

int uq_pending_connection(struct uq_pending *p) {
  const struct uq_connections *a = &p->liveness->connections;
  long port = 0;
  char *address = NULL;
  curl_easy_getinfo(p->easy, CURLINFO_LOCAL_PORT, &port);
  curl_easy_getinfo(p->easy, CURLINFO_LOCAL_IP, &address);
  if (port <= 0 || address == NULL)
    return -1;
  const struct uq_connection *c = uq_connections_of(a, p->fd);
  if (c == NULL || c->port != port || strcmp(c->address, address) != 0)
    p->fd = uq_connections_find(a, (int)port, address);
  return p->fd;
}

/* True if the connection, NULL if not known, was used before: some response has
** come since it was opened. Requests that have waited for a new connection
** together have not used it before. */
static bool is_reused(const struct uq_pending *p,
                      const struct uq_connection *c) {
  long opened = 1;
  curl_easy_getinfo(p->easy, CURLINFO_NUM_CONNECTS, &opened);
  return opened == 0 && (c == NULL || p->liveness->responded > c->opened);
}

/* True if libcurl has sent the request. Before 7.80 it does not tell when, so
** that is taken to be now. */
static bool is_sent(struct uq_pending *p) {
  curl_off_t spent = 0;
  if (p->reports_sent)
    return p->sent > 0;
  curl_easy_getinfo(p->easy, CURLINFO_PRETRANSFER_TIME_T, &spent);
  if (spent == 0)
    p->sent = p->liveness->now;
  return spent > 0;
}

/* True if there are bytes that libcurl has not read yet. */
static bool is_readable(int fd) {
  struct pollfd look = {fd, POLLIN, 0};
  return poll(&look, 1, 0) > 0;
}

double uq_liveness_idle(const struct uq_liveness *l, double now) {
  double first = HUGE_VAL;
  for (struct uq_pending *p = l->requests; p != NULL; p = p->next) {
    double least = p->latency->least;
    double when = least > 0 && is_sent(p) ? p->sent + least : p->begun;
    first = when < first ? when : first;
  }
  return first - now;
}

static const char silent[] = "no answer on a connection that was used before: "
                             "it was given up";
static const char no_ack[] = "the other end acknowledges nothing: the "
                             "connection was given up";
static const char shut[] = "the connection was given up: it was silent for "
                           "too long";

const char *uq_pending_fault(struct uq_pending *p) {
  if (p->dead != NULL)
    return p->dead;
  const struct uq_connection *c =
      uq_connections_of(&p->liveness->connections, uq_pending_connection(p));
  return c != NULL && c->shut && is_sent(p) ? shut : NULL;
}

/* True if other requests are on the connection. */
static bool has_others(const struct uq_pending *p, int fd) {
  struct uq_pending *other = p->liveness->requests;
  while (other != NULL && (other == p || uq_pending_connection(other) != fd))
    other = other->next;
  return other != NULL;
}

/* Gives up the request, its connection, and connections without a request that
** are as old. */
static void give_up_connection(struct uq_pending *p, int fd, const char *why) {
  struct uq_liveness *l = p->liveness;
  p->dead = why;
  uq_connections_shut_unused(&l->connections, p->sent);
  uq_connections_shut(&l->connections, fd);
  l->doomed = true;
}

/* Has a request sent once more on a new connection, to see if the server
** responds there. Its connection is kept if there are others on it. */
static void try_new_connection(struct uq_pending *p, int fd) {
  struct uq_liveness *l = p->liveness;
  bool full =
      l->limit > 0 && uq_connections_in_use(&l->connections) >= l->limit;
  l->tried_fresh = l->now;
  l->awaits_fresh = true;
  if (full || !has_others(p, fd)) {
    give_up_connection(p, fd, silent);
    return;
  }
  p->dead = silent;
  p->fresh = true;
  uq_connections_shut_unused(&l->connections, p->sent);
  l->doomed = true;
}

/* Gives up a connection that was used before and is silent for too long. */
static void check_silence(struct uq_pending *p, int fd) {
  struct uq_liveness *l = p->liveness;
  const struct uq_connection *c = uq_connections_of(&l->connections, fd);
  double slowest = uq_latency_slowest(p->latency, l->now);
  double limit = fmax(p->silence, PATIENCE * slowest);
  double since = fmax(p->sent, c->heard);
  double waited = uq_connection_waited(c, l->now);
  bool late = l->now >= since + limit;
  if (l->answered > l->now - waited && waited >= limit) /* the server responds
                                                           on other ones */
    late = l->now >= since + PATIENCE * slowest;
  if (!late) {
    uq_liveness_check_at(l, since + limit);
    return;
  }
  if (is_readable(fd) || (p->deadline > 0 && p->deadline - l->now < slowest))
    return;
  if (l->answered > l->now - waited || l->now >= since + 2 * limit) {
    give_up_connection(p, fd, silent);
  } else if (l->tried_fresh <= since) {
    try_new_connection(p, fd);
  } else { /* another request was sent again: wait for its result */
    l->awaits_fresh = true;
    uq_liveness_check_at(l, since + 2 * limit);
  }
}

/* Gives up the connection of a request if it is dead. */
static void check_connection(struct uq_pending *p) {
  struct uq_liveness *l = p->liveness;
  int fd = is_sent(p) ? uq_pending_connection(p) : -1;
  const struct uq_connection *c = uq_connections_of(&l->connections, fd);
  uq_liveness_check_at(
      l, l->now + fmax(MIN_WAIT, l->now - p->sent)); /* less and less often */
  if (c == NULL || c->shut)
    return;
  if (l->now - p->sent >= NO_ACK && uq_connection_is_stuck(fd, NO_ACK))
    give_up_connection(p, fd, no_ack);
  else if (p->silence > 0 && is_reused(p, c))
    check_silence(p, fd);
}

void uq_liveness_check(struct uq_liveness *l) {
  if (l->check < 0 || l->now < l->check)
    return;
  l->check = -1;
  l->awaits_fresh = false;
  for (struct uq_pending *p = l->requests; p != NULL; p = p->next)
    check_connection(p);
}

/* True if the connection of a request over HTTP/2 that ended without a response
** is to be given up: sooner if no other request is on it. */
static bool is_worth_giving_up(const struct uq_pending *p, int fd,
                               bool cancelled) {
  const struct uq_liveness *l = p->liveness;
  const struct uq_connection *c = uq_connections_of(&l->connections, fd);
  double slowest = uq_latency_slowest(p->latency, l->now);
  double waited = uq_connection_waited(c, l->now);
  if (has_others(p, fd))
    return waited >= fmax(SILENCE, PATIENCE * slowest);
  return !cancelled || waited >= fmax(MIN_WAIT, 2 * PATIENCE * slowest);
}

/* A request on a connection that was used before has ended without a byte of a
** response. When requests have waited for so long that way, the server may have
** dropped all connections of that age. */
static void add_vain_wait(struct uq_pending *p, bool cancelled) {
  struct uq_liveness *l = p->liveness;
  double slowest = uq_latency_slowest(p->latency, l->now);
  l->waited_in_vain += l->now - p->sent;
  if (!cancelled || l->waited_in_vain >= fmax(MIN_WAIT, 2 * PATIENCE * slowest))
    uq_connections_shut_unused(&l->connections, p->sent);
}

void uq_pending_left(struct uq_pending *p, bool cancelled) {
  struct uq_liveness *l = p->liveness;
  bool heard = p->received->bytes > 0;
  if (p->sent == 0 || (cancelled && heard))
    return;
  int fd = p->multiplexed ? uq_pending_connection(p) : -1;
  const struct uq_connection *c = uq_connections_of(&l->connections, fd);
  bool used_before = is_reused(p, c);
  if (!heard && used_before)
    add_vain_wait(p, cancelled);
  else if (!heard && !cancelled) /* the server may be that slow */
    uq_latency_note(p->latency, l->now - p->sent, l->now);
  if (c != NULL && !c->shut && is_worth_giving_up(p, fd, cancelled)) {
    uq_connections_shut(&l->connections, fd);
    l->doomed = true;
  }
}

bool uq_pending_failed(struct uq_pending *p, bool broken) {
  struct uq_connections *cs = &p->liveness->connections;
  int fd = p->multiplexed ? uq_pending_connection(p) : -1;
  const struct uq_connection *c = uq_connections_of(cs, fd);
  if (c == NULL || c->shut)
    return false;
  if (broken || !has_others(p, fd)) {
    uq_connections_shut(cs, fd);
    return false;
  }
  bool first = !c->doubted; /* only one of many needs a new connection */
  uq_connections_doubt(cs, fd);
  return first;
}

/* A refusal comes sooner than other responses, also from a proxy: it says
** nothing of how long other requests have to wait. */
void uq_pending_answered(const struct uq_pending *p, bool refused) {
  struct uq_liveness *l = p->liveness;
  long opened = 0;
  curl_easy_getinfo(p->easy, CURLINFO_NUM_CONNECTS, &opened);
  if (opened == 0 && p->resends == 0)
    l->closed = 0;
  l->responded = l->now;
  l->waited_in_vain = 0;
  if (p->sent == 0)
    return;
  uq_latency_learn(p->latency, l->now - p->sent);
  if (refused)
    return;
  uq_latency_note(p->latency, l->now - p->sent, l->now);
  if (p->sent > l->answered)
    l->answered = p->sent;
  if (l->awaits_fresh && p->sent >= l->tried_fresh)
    l->check = l->now;
}
