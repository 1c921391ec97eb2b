/*
** liveness.c - see liveness.h.
** SPDX-License-Identifier: MIT
*/
#include "engine/http/liveness.h"

#include <math.h>
#include <poll.h>
#include <string.h>

#define SILENCE 5.0  /* seconds; that long, nothing lives there */
#define UNSEEN 4.0   /* seconds without an acknowledgement; the same */
#define VAIN 1.0     /* seconds of waiting that say something */
#define CLOSED 2     /* connections that are found closed, in a row */
#define RESENDS 1    /* by libcurl of a request sent on a new connection */
#define PATIENCE 1.5 /* times as long as the slowest recent answer */

void uq_liveness_init(struct uq_liveness *l) {
  memset(l, 0, sizeof *l);
  l->check = -1;
}

void uq_liveness_free(struct uq_liveness *l) {
  uq_idle_connections_free(&l->idle);
  uq_activity_free(&l->activity);
}

void uq_pending_init(struct uq_pending *p, int endpoint, double timeout,
                     double silence) {
  struct uq_liveness *l = p->liveness;
  p->latency = &l->latencies[endpoint];
  p->begun = l->now;
  p->deadline = timeout > 0 ? l->now + timeout : 0;
  p->silence = silence;
  p->sent = p->told ? 0 : l->now;
  p->first = p->sent;
  p->resends = 0;
  p->exhausted = p->kept = false;
  p->fresh = false;
  p->dead = NULL;
}

void uq_pending_begin(struct uq_pending *p) {
  struct uq_liveness *l = p->liveness;
  p->next = l->requests;
  p->prev = NULL;
  if (p->next != NULL)
    p->next->prev = p;
  l->requests = p;
  if (!p->told)
    uq_liveness_check_at(l, l->now + VAIN);
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
  if (l->requests == NULL)
    l->check = -1;
}

/* Gives up the idle connections that were last heard from before then. */
static void drop_idle(struct uq_liveness *l, double before) {
  for (int fd = 0; fd < l->activity.room; fd++) {
    const struct uq_connection *c = uq_activity_of(&l->activity, fd);
    if (c == NULL || c->used > 0 || c->heard >= before)
      continue;
    uq_idle_connections_remove(&l->idle, fd);
    uq_activity_shut(&l->activity, fd);
  }
}

void uq_liveness_check_at(struct uq_liveness *l, double when) {
  if (l->check < 0 || when < l->check)
    l->check = when;
}

bool uq_pending_may_resend(struct uq_pending *p) {
  bool answers = p->multiplexed && p->liveness->answer_at > p->first;
  p->exhausted = p->resends >= (p->kept ? CLOSED : RESENDS) && !answers;
  return !p->exhausted;
}

/* After two closed connections the idle ones are given up untried. */
void uq_pending_resent(struct uq_pending *p) {
  struct uq_liveness *l = p->liveness;
  p->resends++;
  if (!p->multiplexed)
    l->closed++;
  if ((p->multiplexed ? p->resends : l->closed) >= CLOSED)
    drop_idle(l, p->sent);
}

bool uq_pending_sent(struct uq_pending *p) {
  struct uq_liveness *l = p->liveness;
  long opened = 1;
  if (p->sent == 0)
    p->first = l->now;
  else if (uq_pending_may_resend(p))
    uq_pending_resent(p);
  else
    return false;
  curl_easy_getinfo(p->easy, CURLINFO_NUM_CONNECTS, &opened);
  p->kept = opened == 0;
  p->sent = l->now;
  uq_liveness_check_at(
      l, p->sent + (p->silence > 0 ? fmin(p->silence, UNSEEN) : UNSEEN));
  return true;
}

int uq_pending_connection(struct uq_pending *p) {
  const struct uq_activity *a = &p->liveness->activity;
  long port = 0;
  char *address = NULL;
  curl_easy_getinfo(p->easy, CURLINFO_LOCAL_PORT, &port);
  curl_easy_getinfo(p->easy, CURLINFO_LOCAL_IP, &address);
  if (port <= 0 || address == NULL)
    return -1;
  const struct uq_connection *c = uq_activity_of(a, p->fd);
  if (c == NULL || c->port != port || strcmp(c->address, address) != 0)
    p->fd = uq_activity_find(a, (int)port, address);
  return p->fd;
}

/* True if the connection, NULL if not known, was used before. One that many
** requests wait for together may be without an answer yet. */
static bool is_reused(const struct uq_pending *p,
                      const struct uq_connection *c) {
  long opened = 1;
  curl_easy_getinfo(p->easy, CURLINFO_NUM_CONNECTS, &opened);
  return opened == 0 && (c == NULL || p->liveness->answer_at > c->opened);
}

/* True if libcurl has sent the request. Before 7.80 it does not tell when. */
static bool is_sent(struct uq_pending *p) {
  curl_off_t spent = 0;
  if (p->told)
    return p->sent > 0;
  curl_easy_getinfo(p->easy, CURLINFO_PRETRANSFER_TIME_T, &spent);
  if (spent == 0)
    p->sent = p->liveness->now; /* not before now */
  return spent > 0;
}

/* True if there is something to read that libcurl has not seen yet. */
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
static const char unseen[] = "the other end acknowledges nothing: the "
                             "connection was given up";
static const char shut[] = "the connection was given up: it was silent for "
                           "too long";

const char *uq_pending_fault(struct uq_pending *p) {
  if (p->dead != NULL)
    return p->dead;
  const struct uq_connection *c =
      uq_activity_of(&p->liveness->activity, uq_pending_connection(p));
  return c != NULL && c->shut && is_sent(p) ? shut : NULL;
}

/* True if other requests are on the connection. */
static bool has_others(const struct uq_pending *p, int fd) {
  struct uq_pending *other = p->liveness->requests;
  while (other != NULL && (other == p || uq_pending_connection(other) != fd))
    other = other->next;
  return other != NULL;
}

/* Gives the connection of a request up, and with it what is as old. */
static void give_up(struct uq_pending *p, int fd, const char *why) {
  struct uq_liveness *l = p->liveness;
  p->dead = why;
  drop_idle(l, p->sent);
  uq_activity_shut(&l->activity, fd);
  l->doomed = true;
}

/* Sends a request once more, on a fresh connection, to see if the server lives;
** its old connection is kept for others. */
static void try_fresh(struct uq_pending *p, int fd) {
  struct uq_liveness *l = p->liveness;
  bool full = l->limit > 0 && uq_activity_count(&l->activity) >= l->limit;
  l->tried = l->now;
  l->trying = true;
  if (full || !has_others(p, fd)) {
    give_up(p, fd, silent);
    return;
  }
  p->dead = silent;
  p->fresh = true;
  drop_idle(l, p->sent);
  l->doomed = true;
}

/* Looks whether a connection that was used before is silent for too long. */
static void check_silence(struct uq_pending *p, int fd) {
  struct uq_liveness *l = p->liveness;
  const struct uq_connection *c = uq_activity_of(&l->activity, fd);
  double slowest = uq_latency_slowest(p->latency, l->now);
  double limit = fmax(p->silence, PATIENCE * slowest);
  double since = fmax(p->sent, c->heard);
  double waited = uq_activity_waited(c, l->now);
  bool late = l->now >= since + limit;
  if (l->answered > l->now - waited && waited >= limit) /* elsewhere */
    late = l->now >= since + PATIENCE * slowest;
  if (!late) {
    uq_liveness_check_at(l, since + limit);
    return;
  }
  if (is_readable(fd) || (p->deadline > 0 && p->deadline - l->now < slowest))
    return;
  if (l->answered > l->now - waited || l->now >= since + 2 * limit) {
    give_up(p, fd, silent);
  } else if (l->tried <= since) {
    try_fresh(p, fd);
  } else { /* another was: this one waits for what becomes of it */
    l->trying = true;
    uq_liveness_check_at(l, since + 2 * limit);
  }
}

/* Looks whether the connection of a request is dead. */
static void check_connection(struct uq_pending *p) {
  struct uq_liveness *l = p->liveness;
  int fd = is_sent(p) ? uq_pending_connection(p) : -1;
  const struct uq_connection *c = uq_activity_of(&l->activity, fd);
  uq_liveness_check_at(
      l, l->now + fmax(VAIN, l->now - p->sent)); /* less and less often */
  if (c == NULL || c->shut)
    return;
  if (l->now - p->sent >= UNSEEN && uq_activity_stuck(fd, UNSEEN))
    give_up(p, fd, unseen);
  else if (p->silence > 0 && is_reused(p, c))
    check_silence(p, fd);
}

void uq_liveness_check(struct uq_liveness *l) {
  if (l->check < 0 || l->now < l->check)
    return;
  l->check = -1;
  l->trying = false;
  for (struct uq_pending *p = l->requests; p != NULL; p = p->next)
    check_connection(p);
}

/* True if the connection of a request over HTTP/2 that ended without an answer
** is dead. It is given up for less if no other request is on it. */
static bool is_dead(const struct uq_pending *p, int fd, bool cancelled) {
  const struct uq_liveness *l = p->liveness;
  const struct uq_connection *c = uq_activity_of(&l->activity, fd);
  double slowest = uq_latency_slowest(p->latency, l->now);
  double waited = uq_activity_waited(c, l->now);
  if (has_others(p, fd))
    return waited >= fmax(SILENCE, PATIENCE * slowest);
  return !cancelled || waited >= fmax(VAIN, 2 * PATIENCE * slowest);
}

void uq_pending_left(struct uq_pending *p, bool cancelled) {
  struct uq_liveness *l = p->liveness;
  bool heard = p->received->bytes > 0;
  if (p->sent == 0 || (cancelled && heard))
    return;
  int fd = p->multiplexed ? uq_pending_connection(p) : -1;
  const struct uq_connection *c = uq_activity_of(&l->activity, fd);
  double slowest = uq_latency_slowest(p->latency, l->now);
  if (!is_reused(p, c)) {
    if (!cancelled && !heard)
      uq_latency_note(p->latency, l->now - p->sent, l->now);
  } else if (!heard) {
    l->in_vain += l->now - p->sent;
    if (!cancelled || l->in_vain >= fmax(VAIN, 2 * PATIENCE * slowest))
      drop_idle(l, p->sent);
  }
  if (c != NULL && !c->shut && is_dead(p, fd, cancelled)) {
    uq_activity_shut(&l->activity, fd);
    l->doomed = true;
  }
}

bool uq_pending_failed(struct uq_pending *p, bool broken) {
  struct uq_activity *a = &p->liveness->activity;
  int fd = p->multiplexed ? uq_pending_connection(p) : -1;
  const struct uq_connection *c = uq_activity_of(a, fd);
  if (c == NULL || c->shut)
    return false;
  if (broken || !has_others(p, fd)) {
    uq_activity_shut(a, fd);
    return false;
  }
  bool first = !c->doubted; /* a crowd needs no connection each */
  uq_activity_doubt(a, fd);
  return first;
}

/* A refusal comes sooner than what was asked for, also from elsewhere: it says
** nothing of how long the others are to wait. */
void uq_pending_answered(const struct uq_pending *p, bool refused) {
  struct uq_liveness *l = p->liveness;
  long opened = 0;
  curl_easy_getinfo(p->easy, CURLINFO_NUM_CONNECTS, &opened);
  if (opened == 0 && p->resends == 0)
    l->closed = 0;
  l->answer_at = l->now;
  l->in_vain = 0;
  if (p->sent == 0)
    return;
  uq_latency_learn(p->latency, l->now - p->sent);
  if (refused)
    return;
  uq_latency_note(p->latency, l->now - p->sent, l->now);
  if (p->sent > l->answered)
    l->answered = p->sent;
  if (l->trying && p->sent >= l->tried)
    l->check = l->now;
}
