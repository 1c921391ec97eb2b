/*
** sys/event.h - a kqueue for Linux with what src/engine/event/kqueue.c uses,
** for
** specs and lint only: so the code for other systems is compiled and run here,
** which does not prove that it works there.
**
** With -DKQUEUE_OLD it is that of an old system: no user events, and timers in
** milliseconds.
** SPDX-License-Identifier: MIT
*/
#ifndef KQUEUE_SYS_EVENT_H
#define KQUEUE_SYS_EVENT_H

#include <stdint.h>
#include <time.h>

#pragma GCC visibility push(hidden)

#define EVFILT_READ (-1)
#define EVFILT_WRITE (-2)
#define EVFILT_TIMER (-7)

#define EV_ADD 0x0001
#define EV_DELETE 0x0002
#define EV_ONESHOT 0x0010
#define EV_EOF 0x8000

#if !defined(KQUEUE_OLD)
#define EVFILT_USER (-11)
#define NOTE_TRIGGER 0x01000000
#define NOTE_USECONDS 0x00000004
#endif

struct kevent {
  uintptr_t ident;
  short filter;
  unsigned short flags;
  unsigned int fflags;
  intptr_t data;
  void *udata;
};

/* As on systems that evaluate kevp more than once. */
#define EV_SET(kevp, i, fi, fl, ff, d, u) \
  do {                                    \
    (kevp)->ident = (uintptr_t)(i);       \
    (kevp)->filter = (fi);                \
    (kevp)->flags = (fl);                 \
    (kevp)->fflags = (ff);                \
    (kevp)->data = (d);                   \
    (kevp)->udata = (u);                  \
  } while (0)

int kqueue(void);

int kevent(int kq, const struct kevent *changes, int nchanges,
           struct kevent *events, int nevents, const struct timespec *timeout);

/* What a kqueue consists of here goes with it. */
#define close(fd) kqueue_close(fd)
int kqueue_close(int fd);

#pragma GCC visibility pop

#endif
