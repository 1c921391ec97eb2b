/*
** schedule.c - see schedule.h.
** SPDX-License-Identifier: MIT
*/
#include "schedule.h"

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
static struct uq_turn *of_list(struct uq_link *link) {
  return (struct uq_turn *)(void *)link;
}

static struct uq_turn *of_line(struct uq_link *link) {
  return (struct uq_turn *)(void *)((char *)link -
                                    offsetof(struct uq_turn, line));
}

void uq_schedule_init(struct uq_schedule *s) {
  s->waiting.next = s->waiting.prev = &s->waiting;
  s->ready.next = s->ready.prev = &s->ready;
  s->named.next = s->named.prev = &s->named;
  s->passed.next = s->passed.prev = &s->passed;
  s->line.next = s->line.prev = &s->line;
  s->in_line = 0;
}

void uq_schedule_leave(struct uq_schedule *s, struct uq_turn *turn) {
  turn->named = false;
  if (is_linked(&turn->list))
    take_out(&turn->list);
  if (is_linked(&turn->line)) {
    take_out(&turn->line);
    s->in_line--;
  }
}

void uq_schedule_wait(struct uq_schedule *s, struct uq_turn *turn,
                      double wake) {
  uq_schedule_leave(s, turn);
  turn->wake = wake;
  struct uq_link *place = s->waiting.prev; /* who comes last waits longest */
  while (place != &s->waiting && of_list(place)->wake > wake)
    place = place->prev;
  insert_behind(place, &turn->list);
}

void uq_schedule_line_up(struct uq_schedule *s, struct uq_turn *turn,
                         double wake) {
  if (wake < HUGE_VAL)
    uq_schedule_wait(s, turn, wake);
  else
    uq_schedule_leave(s, turn);
  turn->wake = wake;
  insert_behind(s->line.prev, &turn->line);
  s->in_line++;
}

void uq_schedule_call(struct uq_schedule *s) {
  if (!is_empty(&s->line))
    uq_schedule_ready(s, of_line(s->line.next));
}

bool uq_schedule_in_line(const struct uq_turn *turn) {
  return is_linked(&turn->line);
}

void uq_schedule_ready(struct uq_schedule *s, struct uq_turn *turn) {
  uq_schedule_leave(s, turn);
  insert_behind(s->ready.prev, &turn->list);
}

void uq_schedule_advance(struct uq_schedule *s, double now) {
  while (!is_empty(&s->waiting) && of_list(s->waiting.next)->wake <= now)
    uq_schedule_ready(s, of_list(s->waiting.next));
}

struct uq_turn *uq_schedule_next(struct uq_schedule *s) {
  if (is_empty(&s->ready))
    return NULL;
  struct uq_turn *turn = of_list(s->ready.next);
  uq_schedule_leave(s, turn);
  insert_behind(s->named.prev, &turn->list);
  turn->named = true;
  return turn;
}

void uq_schedule_pass(struct uq_schedule *s, struct uq_turn *turn) {
  if (!turn->named)
    return;
  uq_schedule_leave(s, turn);
  insert_behind(s->passed.prev, &turn->list);
}

bool uq_schedule_passed(const struct uq_schedule *s) {
  return !is_empty(&s->passed);
}

void uq_schedule_recall(struct uq_schedule *s) {
  while (!is_empty(&s->passed))
    uq_schedule_ready(s, of_list(s->passed.next));
  while (!is_empty(&s->named))
    uq_schedule_ready(s, of_list(s->named.next));
}

bool uq_schedule_any(const struct uq_schedule *s) {
  return !is_empty(&s->ready);
}

double uq_schedule_wake(const struct uq_schedule *s) {
  return is_empty(&s->waiting) ? -1 : of_list(s->waiting.next)->wake;
}
