/*
** run_queue.h - which calls of a client can go on: a task for each, which waits
** for a moment, stands in a queue, or is due. Time is an argument. Knows no Lua
** and no curl.
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

struct uq_task_group;

/* All zero: nowhere. */
struct uq_task {
  struct uq_link list;  /* among the tasks that wait, or that are ready */
  struct uq_link queue; /* besides: in the queue */
  double id;            /* its owner's */
  double wake;          /* while waiting: until when, on uq_clock */
  bool due;             /* can go on, until it is put elsewhere */
  struct uq_task_group *group; /* NULL: none */
};

/* Tasks that one consumer steps: it is told once that some are due. All zero,
** but for `ready`: empty. */
struct uq_task_group {
  struct uq_task task;  /* due when one of the others is */
  struct uq_link ready; /* those that are due */
};

struct uq_run_queue {
  struct uq_link waiting; /* by wake, earliest first */
  struct uq_link ready;   /* due and not reported, in order of arrival */
  struct uq_link queue;   /* in order of arrival */
  double queued;          /* the number of tasks in the queue */
};

/* The run queue must not be moved in memory afterwards. */
void uq_run_queue_init(struct uq_run_queue *q);

/* The task waits until `wake`; HUGE_VAL: until uq_run_queue_ready. */
void uq_run_queue_wait(struct uq_run_queue *q, struct uq_task *task,
                       double wake);

/* Puts the task at the end of the queue: it waits until `wake` or until it is
** admitted. HUGE_VAL: until it is admitted. */
void uq_run_queue_enqueue(struct uq_run_queue *q, struct uq_task *task,
                          double wake);

/* The first task of the queue leaves it, and is due. */
void uq_run_queue_admit(struct uq_run_queue *q);

/* True if the task stands in the queue. */
bool uq_run_queue_is_queued(const struct uq_task *task);

/* The task is due. */
void uq_run_queue_ready(struct uq_run_queue *q, struct uq_task *task);

/* Makes an empty group, which must not be moved in memory afterwards. */
void uq_task_group_init(struct uq_task_group *group);

/* The first task of a group that is due, which is reported now. NULL: there is
** none, and the group's own task is nowhere. */
struct uq_task *uq_run_queue_next_of(struct uq_run_queue *q,
                                     struct uq_task_group *group);

/* Takes the task out of the run queue. */
void uq_run_queue_leave(struct uq_run_queue *q, struct uq_task *task);

/* The task is reported: uq_run_queue_next does not give it. It stays due. False:
** it was reported before, or is not due. */
bool uq_run_queue_report(struct uq_task *task);

/* Tasks whose time has come are due. */
void uq_run_queue_advance(struct uq_run_queue *q, double now);

/* The first task that is due and not reported, which it is now. NULL: there is
** none. */
struct uq_task *uq_run_queue_next(struct uq_run_queue *q);

/* True if a task is due and not reported. */
bool uq_run_queue_has_ready(const struct uq_run_queue *q);

/* When the first of the waiting tasks is due; below 0: none waits. */
double uq_run_queue_wake(const struct uq_run_queue *q);

#pragma GCC visibility pop

#endif
