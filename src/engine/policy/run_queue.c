/*
** run_queue.c - see run_queue.h.
** SPDX-License-Identifier: MIT
*/
#include "engine/policy/run_queue.h"

#include <math.h>
#include <stddef.h>

static bool is_empty(const struct uq_link *ring) { return ring->next == ring; }

static bool is_linked(const struct uq_link *link) { return link->next != NULL; }

static void link_behind(struct uq_link *place, struct uq_link *link) {
  link->prev = place;
  link->next = place->next;
  place->next->prev = link;
  place->next = link;
}

static void unlink_from_ring(struct uq_link *link) {
  link->prev->next = link->next;
  link->next->prev = link->prev;
  link->next = link->prev = NULL;
}

static struct uq_task *task_of_list(struct uq_link *link) {
  return (struct uq_task *)(void *)((char *)link -
                                    offsetof(struct uq_task, list));
}

static struct uq_task *task_of_queue(struct uq_link *link) {
  return (struct uq_task *)(void *)((char *)link -
                                    offsetof(struct uq_task, queue));
}

void uq_run_queue_init(struct uq_run_queue *q) {
  q->waiting.next = q->waiting.prev = &q->waiting;
  q->ready.next = q->ready.prev = &q->ready;
  q->passed.next = q->passed.prev = &q->passed;
  q->queue.next = q->queue.prev = &q->queue;
  q->queued = 0;
}

/* Takes the task out of its rings. */
static void take_out(struct uq_run_queue *q, struct uq_task *task) {
  task->due = false;
  if (is_linked(&task->list))
    unlink_from_ring(&task->list);
  if (is_linked(&task->queue)) {
    unlink_from_ring(&task->queue);
    q->queued--;
  }
}

void uq_run_queue_leave(struct uq_run_queue *q, struct uq_task *task) {
  take_out(q, task);
  if (task->group != NULL && is_empty(&task->group->ready))
    take_out(q, &task->group->task);
}

void uq_run_queue_wait(struct uq_run_queue *q, struct uq_task *task,
                       double wake) {
  uq_run_queue_leave(q, task);
  task->wake = wake;
  if (!(wake < HUGE_VAL))
    return;
  struct uq_link *place =
      q->waiting.prev; /* mostly the last one is the latest */
  while (place != &q->waiting && task_of_list(place)->wake > wake)
    place = place->prev;
  link_behind(place, &task->list);
}

void uq_run_queue_enqueue(struct uq_run_queue *q, struct uq_task *task,
                          double wake) {
  uq_run_queue_wait(q, task, wake);
  link_behind(q->queue.prev, &task->queue);
  q->queued++;
}

void uq_run_queue_admit(struct uq_run_queue *q) {
  if (!is_empty(&q->queue))
    uq_run_queue_ready(q, task_of_queue(q->queue.next));
}

bool uq_run_queue_is_queued(const struct uq_task *task) {
  return is_linked(&task->queue);
}

void uq_run_queue_ready(struct uq_run_queue *q, struct uq_task *task) {
  struct uq_task_group *group = task->group;
  take_out(q, task);
  link_behind(group != NULL ? group->ready.prev : q->ready.prev, &task->list);
  task->due = true;
  if (group != NULL && !group->task.due)
    uq_run_queue_ready(q, &group->task);
}

void uq_task_group_init(struct uq_task_group *group) {
  group->ready.next = group->ready.prev = &group->ready;
}

struct uq_task *uq_run_queue_next_of(struct uq_run_queue *q,
                                     struct uq_task_group *group) {
  if (is_empty(&group->ready)) {
    take_out(q, &group->task);
    return NULL;
  }
  struct uq_task *task = task_of_list(group->ready.next);
  unlink_from_ring(&task->list);
  return task;
}

bool uq_run_queue_report(struct uq_task *task) {
  if (!task->due || !is_linked(&task->list))
    return false;
  unlink_from_ring(&task->list);
  return true;
}

void uq_run_queue_recall(struct uq_run_queue *q, struct uq_task *task) {
  if (task->group != NULL)
    task = &task->group->task;
  if (task->due && !is_linked(&task->list))
    uq_run_queue_ready(q, task);
}

void uq_run_queue_pass(struct uq_run_queue *q, struct uq_task *task) {
  if (task->due && !is_linked(&task->list))
    link_behind(q->passed.prev, &task->list);
}

bool uq_run_queue_has_passed(const struct uq_run_queue *q) {
  return !is_empty(&q->passed);
}

void uq_run_queue_advance(struct uq_run_queue *q, double now) {
  while (!is_empty(&q->waiting) && task_of_list(q->waiting.next)->wake <= now)
    uq_run_queue_ready(q, task_of_list(q->waiting.next));
}

struct uq_task *uq_run_queue_next(struct uq_run_queue *q) {
  if (is_empty(&q->ready))
    return NULL;
  struct uq_task *task = task_of_list(q->ready.next);
  (void)uq_run_queue_report(task);
  return task;
}

bool uq_run_queue_has_ready(const struct uq_run_queue *q) {
  return !is_empty(&q->ready);
}

double uq_run_queue_wake(const struct uq_run_queue *q) {
  return is_empty(&q->waiting) ? -1 : task_of_list(q->waiting.next)->wake;
}
