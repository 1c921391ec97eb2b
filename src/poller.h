/*
** poller.h - one descriptor that becomes readable when any watched descriptor
** is ready or the timer is due: epoll with a timerfd inside. Knows no Lua and
** no curl.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_POLLER_H
#define UQ_POLLER_H

#include <stdbool.h>

#pragma GCC visibility push(hidden)

enum { UQ_POLL_NONE = 0, UQ_POLL_IN = 1, UQ_POLL_OUT = 2, UQ_POLL_ERR = 4 };

struct uq_event {
  int fd;
  int what; /* UQ_POLL_ bits */
};

struct uq_poller {
  int fd;       /* -1 while closed */
  int timer;    /* the timerfd; -1 until somebody asks for the descriptor */
  double due;   /* when the timer is due, on uq_clock; below 0: disarmed */
  double armed; /* what the timerfd was last set to */
};

/* Makes p a closed poller, which close() takes as well. */
void uq_poller_init(struct uq_poller *p);

/* Opens a closed poller: 0, or an errno and p stays closed. */
int uq_poller_open(struct uq_poller *p);

void uq_poller_close(struct uq_poller *p);

/* Watches fd for `what`, instead of what it was watched for; UQ_POLL_NONE
** forgets it. 0 or an errno. */
int uq_poller_watch(struct uq_poller *p, int fd, int what);

/* Sets the timer to go off in ms milliseconds; below 0 disarms it. */
void uq_poller_timer(struct uq_poller *p, long ms);

/* Is the timer due? */
bool uq_poller_due(const struct uq_poller *p);

/* The descriptor for others to wait on. Ask again before each of their waits:
** asking is what opens and sets the timerfd. -1: there is none to be had. */
int uq_poller_fd(struct uq_poller *p);

/*
** Waits until something is ready, the timer is due, a signal comes, or limit
** milliseconds are over. Fills at most max events and returns their number;
** the timer yields none: ask uq_poller_due.
*/
int uq_poller_wait(struct uq_poller *p, struct uq_event *events, int max,
                   long limit);

#pragma GCC visibility pop

#endif
