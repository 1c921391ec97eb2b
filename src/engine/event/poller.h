/*
** poller.h - one descriptor that becomes readable when any watched descriptor
** is ready, the timer is due or uq_poller_notify was called. Knows no Lua and
** no curl.
**
** One of three files implements it: epoll.c on Linux, kqueue.c on macOS and
** the BSDs, poll.c elsewhere, which has no descriptor for event loops. The
** macros UQ_POLLER_KQUEUE and UQ_POLLER_POLL override the choice.
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
  UQ_POLL_PAUSED = 8 /* in events: of a paused descriptor */
};

struct uq_event {
  int fd;
  int what; /* UQ_POLL_ bits */
};

struct uq_poller {
  double due;       /* when the timer is due, on uq_clock; below 0: disarmed */
  double timer_set; /* what the system's alarm is set to; below 0: off */
  bool exported;    /* uq_poller_fd was called: there is an alarm */
  bool woken;       /* the alarm is set by uq_poller_notify, not by the timer */
#if defined(UQ_POLLER_EPOLL)
  int fd;               /* -1 while closed */
  int timer;            /* the alarm, a timerfd; -1 until exported */
  unsigned char *known; /* by descriptor: what the kernel watches it for */
  int room;             /* elements of known */
#elif defined(UQ_POLLER_KQUEUE)
  int fd;        /* -1 while closed */
  pid_t process; /* the only one that has it */
  int alarm;     /* the filter of the active alarm; 0: none */
#else
  struct pollfd *watched; /* fd is -1 in free elements */
  int room;               /* elements of watched */
  int first;              /* the element to report first */
#endif
};

/* "epoll", "kqueue" or "poll" */
const char *uq_poller_name(void);

/* Makes p a closed poller. */
void uq_poller_init(struct uq_poller *p);

/* Opens a closed poller: 0, or an errno, and p stays closed. */
int uq_poller_open(struct uq_poller *p);

/* Closes p, which may be closed already. A forked child may call it: the
** parent's poller is not affected. */
void uq_poller_close(struct uq_poller *p);

/* Watches fd for `what` instead of what it was watched for; UQ_POLL_NONE
** removes it. 0 or an errno. */
int uq_poller_watch(struct uq_poller *p, int fd, int what);

/* Pauses fd until it is watched again. Two events of a paused descriptor are
** reported, each once: data came (UQ_POLL_PAUSED and UQ_POLL_IN), the peer
** closed the connection (UQ_POLL_PAUSED and UQ_POLL_ERR); kqueue and poll
** report neither. If nothing came, watching it for the same as before costs no
** system call. Remove it with UQ_POLL_NONE before it is closed. 0 or an errno.
*/
int uq_poller_pause(struct uq_poller *p, int fd);

/* Sets the time on uq_clock when the timer is due; below 0 disarms it. It
** stays due until it is set again. */
void uq_poller_timer(struct uq_poller *p, double due);

/* True if the timer is due. */
bool uq_poller_due(const struct uq_poller *p);

/*
** The descriptor for an event loop, with its alarm set to the timer; -1: none.
** A loop that keeps waiting on it needs uq_poller_arm (or this) after each
** change of the timer and after uq_poller_wait.
*/
int uq_poller_fd(struct uq_poller *p);

/* True if uq_poller_fd has returned a descriptor. */
bool uq_poller_is_exported(const struct uq_poller *p);

/* Sets the alarm to the timer. Costs nothing unless the descriptor is exported
** and the timer has changed. */
void uq_poller_arm(struct uq_poller *p);

/* Makes an exported descriptor readable until the next uq_poller_wait, which
** returns at once and reports no event for it. */
void uq_poller_notify(struct uq_poller *p);

/*
** Waits until a descriptor is ready, the timer is due, a signal arrives, or
** limit milliseconds have passed. Fills at most max events and returns their
** number; the timer is no event: see uq_poller_due.
*/
int uq_poller_wait(struct uq_poller *p, struct uq_event *events, int max,
                   long limit);

#pragma GCC visibility pop

#endif
