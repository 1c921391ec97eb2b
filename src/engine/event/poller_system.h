/*
** poller_system.h - what epoll.c, kqueue.c and poll.c define for poller.c,
** beside uq_poller_name, uq_poller_watch and uq_poller_pause of poller.h.
**
** The alarm makes the descriptor readable at a given time.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_EVENT_POLLER_SYSTEM_H
#define UQ_EVENT_POLLER_SYSTEM_H

#include "engine/event/poller.h"

#pragma GCC visibility push(hidden)

/* Initialises the system's part of p as closed. */
void uq_system_init(struct uq_poller *p);

/* 0 or an errno. */
int uq_system_open(struct uq_poller *p);

void uq_system_close(struct uq_poller *p);

/* The descriptor; from now on its alarm can be set. -1: none. */
int uq_system_fd(struct uq_poller *p);

/* Sets the alarm to that time of uq_clock, which may be past; below 0 turns it
** off. The descriptor stays readable from then until it is set again. Stores
** the time in p->timer_set. */
void uq_system_alarm(struct uq_poller *p, double when);

/* As uq_poller_wait, without the timer. The alarm is no event; if this turns
** it off, it sets p->timer_set. */
int uq_system_wait(struct uq_poller *p, struct uq_event *events, int max,
                   int limit);

#pragma GCC visibility pop

#endif
