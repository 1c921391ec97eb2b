/*
** run_queue.c - see run_queue.h.
** SPDX-License-Identifier: MIT
*/
#include "engine/policy/run_queue.h"

#include <math.h>
#include <stddef.h>

static bool is_empty(const struct uq_link *head) { return head->next == head; }

static bool is_linked(const struct uq_link *link) { return link->next != NULL; }

static void insert_behind(struct uq_link *place, struct uq_link *link) {
  link->prev = place;
  link->next = place->next;
  place->next->prev = link;
  place->next = link;
}

static void take_out(struct uq_link *link) {
  link->prev->next = link->next;
  link->next->prev = link->prev;
  link->next = link->prev = NULL;
}

/* The turn whose link in a list this is; and in the line. */
static struct uq_task *of_list(struct uq_link *link) {
  return (struct uq_task *)(void *)link;
}

static struct uq_task *of_line(struct uq_link *link) {
  return (struct uq_task *)(void *)((char *)link -
                                    offsetof(struct uq_task, line));
}

void uq_run_queue_init(struct uq_run_queue *s) {
  s->waiting.next = s->waiting.prev = &s->waiting;
  s->ready.next = s->ready.prev = &s->ready;
  s->named.next = s->named.prev = &s->named;
  s->passed.next = s->passed.prev = &s->passed;
  s->line.next = s->line.prev = &s->line;
  s->in_line = 0;
}

void uq_run_queue_leave(struct uq_run_queue *s, struct uq_task *turn) {
  turn->named = false;
  if (is_linked(&turn->list))
    take_out(&turn->list);
  if (is_linked(&turn->line)) {
    take_out(&turn->line);
    s->in_line--;
  }
}

void uq_run_queue_wait(struct uq_run_queue *s, struct uq_task *turn,
                       double wake) {
  uq_run_queue_leave(s, turn);
  turn->wake = wake;
  struct uq_link *place = s->waiting.prev; /* who comes last waits longest */
  while (place != &s->waiting && of_list(place)->wake > wake)
    place = place->prev;
  insert_behind(place, &turn->list);
}

void uq_run_queue_enqueue(struct uq_run_queue *s, struct uq_task *turn,
                          double wake) {
  if (wake < HUGE_VAL)
    uq_run_queue_wait(s, turn, wake);
  else
    uq_run_queue_leave(s, turn);
  turn->wake = wake;
  insert_behind(s->line.prev, &turn->line);
  s->in_line++;
}

void uq_run_queue_admit(struct uq_run_queue *s) {
  if (!is_empty(&s->line))
    uq_run_queue_ready(s, of_line(s->line.next));
}

bool uq_run_queue_is_queued(const struct uq_task *turn) {
  return is_linked(&turn->line);
}

void uq_run_queue_ready(struct uq_run_queue *s, struct uq_task *turn) {
  uq_run_queue_leave(s, turn);
  insert_behind(s->ready.prev, &turn->list);
}

void uq_run_queue_advance(struct uq_run_queue *s, double now) {
  while (!is_empty(&s->waiting) && of_list(s->waiting.next)->wake <= now)
    uq_run_queue_ready(s, of_list(s->waiting.next));
}

struct uq_task *uq_run_queue_next(struct uq_run_queue *s) {
  if (is_empty(&s->ready))
    return NULL;
  struct uq_task *turn = of_list(s->ready.next);
  uq_run_queue_leave(s, turn);
  insert_behind(s->named.prev, &turn->list);
  turn->named = true;
  return turn;
}

void uq_run_queue_requeue(struct uq_run_queue *s, struct uq_task *turn) {
  if (!turn->named)
    return;
  uq_run_queue_leave(s, turn);
  insert_behind(s->passed.prev, &turn->list);
}

bool uq_run_queue_has_unclaimed(const struct uq_run_queue *s) {
  return !is_empty(&s->passed);
}

void uq_run_queue_requeue_all(struct uq_run_queue *s) {
  while (!is_empty(&s->passed))
    uq_run_queue_ready(s, of_list(s->passed.next));
  while (!is_empty(&s->named))
    uq_run_queue_ready(s, of_list(s->named.next));
}

bool uq_run_queue_has_ready(const struct uq_run_queue *s) {
  return !is_empty(&s->ready);
}

double uq_run_queue_wake(const struct uq_run_queue *s) {
  return is_empty(&s->waiting) ? -1 : of_list(s->waiting.next)->wake;
}
