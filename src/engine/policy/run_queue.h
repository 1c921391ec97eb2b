/*
** run_queue.h - which calls of a client can run: a task for each, which waits
** until a given time, stands in the queue of calls that have no slot yet, or
** is due. Time is an argument. Knows no Lua and no curl.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_POLICY_RUN_QUEUE_H
#define UQ_POLICY_RUN_QUEUE_H

#include <stdbool.h>

#pragma GCC visibility push(hidden)

/* A link of a ring; all zero: not linked. */
struct uq_link {
  struct uq_link *next, *prev;
};

struct uq_task_group;

/* All zero: not in the run queue. */
struct uq_task {
  struct uq_link list;  /* in the ring of waiting, ready or passed tasks */
  struct uq_link queue; /* in the queue; it may wait for a time as well */
  double id;            /* of its call or batch */
  double wake;          /* while waiting: until when, on uq_clock */
  bool due; /* can run, reported or not, until it is put elsewhere */
  struct uq_task_group *group; /* NULL: none */
};

/* Tasks with one consumer, to which the group's own task reports that some of
** them are due. All zero, except `ready`: empty. */
struct uq_task_group {
  struct uq_task task;  /* due if one of the tasks is */
  struct uq_link ready; /* the tasks that are due and not reported */
};

struct uq_run_queue {
  struct uq_link waiting; /* by wake, earliest first */
  struct uq_link ready;   /* due and not reported, first in, first out */
  struct uq_link passed;  /* reported to a consumer that does not want them */
  struct uq_link queue;   /* first in, first out */
  double queued;          /* the number of tasks in the queue */
};

/* The run queue must not be moved in memory afterwards. */
void uq_run_queue_init(struct uq_run_queue *q);

/* The task waits until `wake`; HUGE_VAL: until uq_run_queue_ready only. */
void uq_run_queue_wait(struct uq_run_queue *q, struct uq_task *task,
                       double wake);

/* Appends the task to the queue: it waits until it is admitted or until
** `wake`, which may be HUGE_VAL. */
void uq_run_queue_enqueue(struct uq_run_queue *q, struct uq_task *task,
                          double wake);

/* Takes the first task out of the queue: it is due. */
void uq_run_queue_admit(struct uq_run_queue *q);

/* True if the task stands in the queue. */
bool uq_run_queue_is_queued(const struct uq_task *task);

/* The task is due. */
void uq_run_queue_ready(struct uq_run_queue *q, struct uq_task *task);

/* Makes an empty group, which must not be moved in memory afterwards. */
void uq_task_group_init(struct uq_task_group *group);

/* Reports the first task of a group that is due. NULL: none; then the group's
** own task leaves the run queue. */
struct uq_task *uq_run_queue_next_of(struct uq_run_queue *q,
                                     struct uq_task_group *group);

/* Takes the task out of the run queue, and the task of its group with the last
** one that is due. */
void uq_run_queue_leave(struct uq_run_queue *q, struct uq_task *task);

/* Marks a task as reported, so that uq_run_queue_next does not return it. It
** stays due. False: it was reported before, or is not due. */
bool uq_run_queue_report(struct uq_task *task);

/* The report of the task, or of its group's, was lost: if it is due, it is
** reported once more. */
void uq_run_queue_recall(struct uq_run_queue *q, struct uq_task *task);

/* The consumer of the report does not want the task: it is passed until it is
** put elsewhere. */
void uq_run_queue_pass(struct uq_run_queue *q, struct uq_task *task);

/* True if a task is passed. */
bool uq_run_queue_has_passed(const struct uq_run_queue *q);

/* Makes the tasks due whose time has come. */
void uq_run_queue_advance(struct uq_run_queue *q, double now);

/* Reports the first task that is due. NULL: none. */
struct uq_task *uq_run_queue_next(struct uq_run_queue *q);

/* True if a task is due and not reported. */
bool uq_run_queue_has_ready(const struct uq_run_queue *q);

/* The earliest `wake` of the waiting tasks; below 0: none waits. */
double uq_run_queue_wake(const struct uq_run_queue *q);

#pragma GCC visibility pop

#endif
