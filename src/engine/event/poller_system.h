/*
** poller_system.h - what epoll.c, kqueue.c and poll.c are to poller.c, beside
** the functions of poller.h that they define themselves: uq_poller_name and
** uq_poller_watch.
**
** The alarm is what wakes those who wait on the descriptor while nothing that
** is watched is ready.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_EVENT_POLLER_SYSTEM_H
#define UQ_EVENT_POLLER_SYSTEM_H

#include "engine/event/poller.h"

#pragma GCC visibility push(hidden)

/* Makes the system's part of p closed. */
void uq_system_init(struct uq_poller *p);

/* 0 or an errno. */
int uq_system_open(struct uq_poller *p);

void uq_system_close(struct uq_poller *p);

/* The descriptor, with an alarm that can be set from now on; -1: none. */
int uq_system_fd(struct uq_poller *p);

/* Sets the alarm to ring at that time of uq_clock, at once if that is past,
** until it is set again; below 0 silences it. Notes in p->armed what it is set
** to. */
void uq_system_alarm(struct uq_poller *p, double when);

/* As uq_poller_wait, but knows no timer. When the alarm rings it reports
** nothing; it may leave the alarm off, and then p->armed says so. */
int uq_system_wait(struct uq_poller *p, struct uq_event *events, int max,
                   int limit);

#pragma GCC visibility pop

#endif
