/*
** poller.h - one descriptor that becomes readable when any watched descriptor
** is ready, the timer is due or a notice was given. Knows no Lua and no curl.
**
** Three files implement it, of which one is compiled to code: epoll.c (Linux),
** kqueue.c (macOS and the BSDs), poll.c (all else: its own waits work, but it
** has no descriptor for others to wait on). -DUQ_POLLER_KQUEUE and
** -DUQ_POLLER_POLL choose otherwise.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_EVENT_POLLER_H
#define UQ_EVENT_POLLER_H

#include <stdbool.h>
#include <sys/types.h>

#if !defined(UQ_POLLER_EPOLL) && !defined(UQ_POLLER_KQUEUE) && \
    !defined(UQ_POLLER_POLL)
#if defined(__linux__)
#define UQ_POLLER_EPOLL
#elif defined(__APPLE__) || defined(__FreeBSD__) || defined(__OpenBSD__) || \
    defined(__NetBSD__) || defined(__DragonFly__)
#define UQ_POLLER_KQUEUE
#else
#define UQ_POLLER_POLL
#endif
#endif

#pragma GCC visibility push(hidden)

enum {
  UQ_POLL_NONE = 0,
  UQ_POLL_IN = 1,
  UQ_POLL_OUT = 2,
  UQ_POLL_ERR = 4,
  UQ_POLL_REST = 8 /* in events: of a resting descriptor */
};

struct uq_event {
  int fd;
  int what; /* UQ_POLL_ bits */
};

struct uq_poller {
  double due;    /* when the timer is due, on uq_clock; below 0: disarmed */
  double armed;  /* what the alarm is set to; below 0: off */
  bool asked;    /* was the descriptor asked for? Then there is an alarm. */
  bool notified; /* it rings for a notice, whatever the timer says */
#if defined(UQ_POLLER_EPOLL)
  int fd;               /* -1 while closed */
  int timer;            /* the alarm, a timerfd; -1 until it is asked for */
  unsigned char *known; /* by descriptor: what the kernel watches it for */
  int room;             /* of known */
#elif defined(UQ_POLLER_KQUEUE)
  int fd;      /* -1 while closed */
  pid_t owner; /* no other process has it */
  int alarm;   /* the filter of the alarm that is on; 0: none */
#else
  struct pollfd *watched; /* fd is -1 in the free ones */
  int room;               /* of watched */
  int first;              /* the one to look at first */
#endif
};

/* "epoll", "kqueue" or "poll" */
const char *uq_poller_name(void);

/* Makes p a closed poller, which close() takes as well. */
void uq_poller_init(struct uq_poller *p);

/* Opens a closed poller: 0, or an errno and p stays closed. */
int uq_poller_open(struct uq_poller *p);

/* May be called in a forked child, too: what the parent has stays as it is. */
void uq_poller_close(struct uq_poller *p);

/* Watches fd for `what`, instead of what it was watched for; UQ_POLL_NONE
** forgets it. 0 or an errno. */
int uq_poller_watch(struct uq_poller *p, int fd, int what);

/* fd rests until it is watched again. Two events are reported of it then, each
** once: something came (UQ_POLL_REST and UQ_POLL_IN), the peer closed the
** connection (UQ_POLL_REST and UQ_POLL_ERR); kqueue and poll report neither. To
** watch it for the same as before costs no system call if nothing came.
** UQ_POLL_NONE forgets it, which must be done before it is closed. 0 or an
** errno. */
int uq_poller_pause(struct uq_poller *p, int fd);

/* Sets the moment on uq_clock when the timer goes off; below 0 disarms it. It
** stays due until it is set again. */
void uq_poller_timer(struct uq_poller *p, double due);

/* Is the timer due? */
bool uq_poller_due(const struct uq_poller *p);

/*
** The descriptor for others to wait on, in line with the timer. -1: there is
** none to be had. Who keeps it from one wait to the next calls uq_poller_arm
** (or this) after whatever sets the timer, and after uq_poller_wait.
*/
int uq_poller_fd(struct uq_poller *p);

/* True if the descriptor was asked for. */
bool uq_poller_is_exported(const struct uq_poller *p);

/* Brings the descriptor in line with the timer. Costs nothing if nobody has
** asked for the descriptor, or nothing has changed. */
void uq_poller_arm(struct uq_poller *p);

/* Makes the descriptor readable, if somebody has asked for it, until the next
** uq_poller_wait, which returns at once and says nothing of it. */
void uq_poller_notify(struct uq_poller *p);

/*
** Waits until something is ready, the timer is due, a signal comes, or limit
** milliseconds are over. Fills at most max events and returns their number;
** the timer yields none: ask uq_poller_due.
*/
int uq_poller_wait(struct uq_poller *p, struct uq_event *events, int max,
                   long limit);

#pragma GCC visibility pop

#endif
