/*
** schedule.c - see schedule.h.
** SPDX-License-Identifier: MIT
*/
#include "schedule.h"

#include <stddef.h>

static bool is_empty(const struct uq_turn *head) { return head->next == head; }

static void insert_behind(struct uq_turn *place, struct uq_turn *turn) {
  turn->prev = place;
  turn->next = place->next;
  place->next->prev = turn;
  place->next = turn;
}

void uq_schedule_init(struct uq_schedule *s) {
  s->waiting.next = s->waiting.prev = &s->waiting;
  s->ready.next = s->ready.prev = &s->ready;
}

void uq_schedule_leave(struct uq_turn *turn) {
  if (turn->next == NULL)
    return;
  turn->prev->next = turn->next;
  turn->next->prev = turn->prev;
  turn->next = turn->prev = NULL;
}

void uq_schedule_wait(struct uq_schedule *s, struct uq_turn *turn,
                      double wake) {
  uq_schedule_leave(turn);
  turn->wake = wake;
  struct uq_turn *place = s->waiting.prev; /* who comes last waits longest */
  while (place != &s->waiting && place->wake > wake)
    place = place->prev;
  insert_behind(place, turn);
}

void uq_schedule_ready(struct uq_schedule *s, struct uq_turn *turn) {
  uq_schedule_leave(turn);
  insert_behind(s->ready.prev, turn);
}

void uq_schedule_advance(struct uq_schedule *s, double now) {
  while (!is_empty(&s->waiting) && s->waiting.next->wake <= now)
    uq_schedule_ready(s, s->waiting.next);
}

struct uq_turn *uq_schedule_next(struct uq_schedule *s) {
  if (is_empty(&s->ready))
    return NULL;
  struct uq_turn *turn = s->ready.next;
  uq_schedule_leave(turn);
  return turn;
}

bool uq_schedule_any(const struct uq_schedule *s) {
  return !is_empty(&s->ready);
}

double uq_schedule_wake(const struct uq_schedule *s) {
  return is_empty(&s->waiting) ? -1 : s->waiting.next->wake;
}
