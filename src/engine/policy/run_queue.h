/*
** run_queue.h - whose turn it is among the calls of a client: those that wait
** for a moment, those that stand in a line, and those that can go on. Knows no
** Lua and no curl.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_POLICY_RUN_QUEUE_H
#define UQ_POLICY_RUN_QUEUE_H

#include <stdbool.h>

#pragma GCC visibility push(hidden)

/* A link of a ring; all zero: in none. */
struct uq_link {
  struct uq_link *next, *prev;
};

/* All zero: nowhere. */
struct uq_task {
  struct uq_link list; /* among those that wait, or that can go on */
  struct uq_link line; /* besides: in the line */
  double wake;         /* while waiting: until when, on uq_clock */
  bool named;          /* among those that were told */
};

struct uq_run_queue {
  struct uq_link waiting; /* by wake, earliest first */
  struct uq_link ready;   /* in the order in which they became so */
  struct uq_link named;   /* of those, the ones that somebody was told of ... */
  struct uq_link passed;  /* ... and has no use for */
  struct uq_link line;    /* in the order of arrival */
  double in_line;         /* their number */
};

/* The schedule must not be moved in memory any more. */
void uq_run_queue_init(struct uq_run_queue *s);

/* Puts a turn, wherever it was, among those that wait. */
void uq_run_queue_wait(struct uq_run_queue *s, struct uq_task *turn,
                       double wake);

/* Puts a turn, wherever it was, at the end of the line: it waits until wake, or
** until it is called. HUGE_VAL: until it is called. */
void uq_run_queue_enqueue(struct uq_run_queue *s, struct uq_task *turn,
                          double wake);

/* The first of the line can go on, and leaves it. */
void uq_run_queue_admit(struct uq_run_queue *s);

bool uq_run_queue_is_queued(const struct uq_task *turn);

/* Puts a turn, wherever it was, among those that can go on. */
void uq_run_queue_ready(struct uq_run_queue *s, struct uq_task *turn);

/* Takes a turn out of wherever it is. */
void uq_run_queue_leave(struct uq_run_queue *s, struct uq_task *turn);

/* Makes ready whoever has waited long enough. */
void uq_run_queue_advance(struct uq_run_queue *s, double now);

/* The first that can go on; it is told once. NULL: there is none. */
struct uq_task *uq_run_queue_next(struct uq_run_queue *s);

/* Who was told of this turn has no use for it. Nothing if it is elsewhere by
** now. */
void uq_run_queue_requeue(struct uq_run_queue *s, struct uq_task *turn);

/* Is there such a one? */
bool uq_run_queue_has_unclaimed(const struct uq_run_queue *s);

/* Whoever was told, it is forgotten: those can go on. */
void uq_run_queue_requeue_all(struct uq_run_queue *s);

/* Can anybody go on? */
bool uq_run_queue_has_ready(const struct uq_run_queue *s);

/* When the first of those that wait will be ready; below 0: nobody waits. */
double uq_run_queue_wake(const struct uq_run_queue *s);

#pragma GCC visibility pop

#endif
