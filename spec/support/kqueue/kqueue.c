/*
** kqueue.c - kqueue on Linux, for the specs only: see sys/event.h.
**
** A kqueue is an epoll here; its timers are timerfds, its user events eventfds.
** Where systems differ it behaves like the strictest one: what some reject or
** ignore is an error, and a child process inherits no kqueue. Not thread-safe.
** SPDX-License-Identifier: MIT
*/
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <sys/event.h>
#undef close

#define WAIT_EVENTS 32
#define TICKS 100 /* a second: resolution of timers */
#define READING (EPOLLIN | EPOLLRDHUP)
#define HANG_UP (EPOLLHUP | EPOLLERR)

struct note {
  uint64_t id; /* its key in epoll: a descriptor may be closed */
  int fd;
  uint32_t events;     /* what a descriptor is watched for; 0: ... */
  struct kevent alarm; /* ... a timer or user event, as it will be reported */
  struct note *next;
};

struct queue {
  int fd;
  struct note *notes;
  struct queue *next;
};

static struct queue *queues;
static uint64_t last_id;

/* ------------------------------------------------------------------------ */
/* kqueues                                                                   */
/* ------------------------------------------------------------------------ */

static struct queue **find_queue(int fd) {
  struct queue **at = &queues;
  while (*at != NULL && (*at)->fd != fd)
    at = &(*at)->next;
  return at;
}

static void drop_note(struct note **at) {
  struct note *note = *at;
  *at = note->next;
  if (note->events == 0)
    close(note->fd);
  free(note);
}

int kqueue_close(int fd) {
  struct queue **at = find_queue(fd), *q = *at;
  if (q != NULL) {
    while (q->notes != NULL)
      drop_note(&q->notes);
    *at = q->next;
    free(q);
  }
  return close(fd);
}

static void leave_to_parent(void) {
  while (queues != NULL)
    kqueue_close(queues->fd);
}

static void watch_forks(void) { pthread_atfork(NULL, NULL, leave_to_parent); }

int kqueue(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  struct queue *q = calloc(1, sizeof *q);
  pthread_once(&once, watch_forks);
  if (q == NULL)
    return -1;
  q->fd = epoll_create1(0); /* the caller sets close-on-exec */
  if (q->fd < 0) {
    free(q);
    return -1;
  }
  q->next = queues;
  queues = q;
  return q->fd;
}

/* ------------------------------------------------------------------------ */
/* changes                                                                   */
/* ------------------------------------------------------------------------ */

static int control(struct queue *q, int operation, const struct note *note) {
  struct epoll_event event;
  memset(&event, 0, sizeof event);
  event.events = note->events != 0 ? note->events : EPOLLIN;
  event.data.u64 = note->id;
  return epoll_ctl(q->fd, operation, note->fd, &event) == 0 ? 0 : errno;
}

/* Takes the descriptor over if it belongs to an alarm. */
static int add_note(struct queue *q, int fd, uint32_t events,
                    const struct kevent *alarm) {
  struct note *note = calloc(1, sizeof *note);
  int error = ENOMEM;
  if (note != NULL) {
    note->id = ++last_id;
    note->fd = fd;
    note->events = events;
    if (alarm != NULL)
      note->alarm = *alarm;
    note->next = q->notes;
    q->notes = note;
    error = control(q, EPOLL_CTL_ADD, note);
    if (error != 0)
      drop_note(&q->notes);
  } else if (alarm != NULL) {
    close(fd);
  }
  return error;
}

static struct note **find_descriptor(struct queue *q, int fd) {
  struct note **at = &q->notes;
  while (*at != NULL && ((*at)->events == 0 || (*at)->fd != fd))
    at = &(*at)->next;
  if (*at != NULL && control(q, EPOLL_CTL_MOD, *at) == ENOENT) {
    drop_note(at); /* it was closed, and the number is in use again */
    return find_descriptor(q, fd);
  }
  return at;
}

static int change_descriptor(struct queue *q, const struct kevent *change) {
  uint32_t events = change->filter == EVFILT_READ ? READING : EPOLLOUT;
  int fd = (int)change->ident;
  if (fcntl(fd, F_GETFD) < 0)
    return EBADF;
  struct note **at = find_descriptor(q, fd), *note = *at;
  if (change->flags == EV_ADD) {
    if (note == NULL)
      return add_note(q, fd, events, NULL);
    note->events |= events;
    return control(q, EPOLL_CTL_MOD, note);
  }
  if (change->flags != EV_DELETE)
    return EINVAL;
  if (note == NULL || (note->events & events) == 0)
    return ENOENT;
  if ((note->events & ~events) != 0) {
    note->events &= ~events;
    return control(q, EPOLL_CTL_MOD, note);
  }
  int error = control(q, EPOLL_CTL_DEL, note);
  drop_note(at);
  return error;
}

static struct note **find_alarm(struct queue *q, const struct kevent *change) {
  struct note **at = &q->notes;
  while (*at != NULL &&
         ((*at)->events != 0 || (*at)->alarm.filter != change->filter ||
          (*at)->alarm.ident != change->ident))
    at = &(*at)->next;
  return at;
}

static int new_timer(const struct kevent *change) {
  struct itimerspec in;
#if defined(NOTE_USECONDS)
  long units = change->fflags == NOTE_USECONDS ? 1000000 : 1000;
#else
  long units = 1000;
#endif
  long ticks = (long)(change->data * TICKS + units - 1) / units;
  int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
  memset(&in, 0, sizeof in);
  in.it_value.tv_sec = ticks / TICKS;
  in.it_value.tv_nsec = ticks % TICKS * (1000000000 / TICKS);
  if (fd >= 0)
    timerfd_settime(fd, 0, &in, NULL);
  return fd;
}

static int change_alarm(struct queue *q, const struct kevent *change) {
  bool timer = change->filter == EVFILT_TIMER;
  struct note **at = find_alarm(q, change);
  if (change->flags == EV_DELETE) {
    if (*at == NULL)
      return ENOENT;
    drop_note(at);
    return 0;
  }
#if defined(EVFILT_USER)
  if (!timer && change->flags == 0 && change->fflags == NOTE_TRIGGER) {
    if (*at == NULL)
      return ENOENT;
    return eventfd_write((*at)->fd, 1) == 0 ? 0 : errno;
  }
#endif
  if (change->flags != (EV_ADD | EV_ONESHOT) || *at != NULL)
    return EINVAL;
  if (timer ? change->data < 1 : change->fflags != 0)
    return EINVAL;
  int fd = timer ? new_timer(change) : eventfd(0, EFD_CLOEXEC);
  return fd < 0 ? errno : add_note(q, fd, 0, change);
}

static int change(struct queue *q, const struct kevent *change) {
  switch (change->filter) {
  case EVFILT_READ:
  case EVFILT_WRITE:
    return change_descriptor(q, change);
#if defined(EVFILT_USER)
  case EVFILT_USER:
#endif
  case EVFILT_TIMER:
    return change_alarm(q, change);
  default:
    return EINVAL;
  }
}

/* ------------------------------------------------------------------------ */
/* events                                                                    */
/* ------------------------------------------------------------------------ */

static void report(struct kevent *event, const struct note *note, short filter,
                   bool eof) {
  memset(event, 0, sizeof *event);
  event->ident = (uintptr_t)note->fd;
  event->filter = filter;
  event->flags = eof ? EV_EOF : 0;
}

/* The events of a descriptor; of both, the second is left when there is room
** for one. */
static int report_descriptor(struct kevent *events, int room,
                             const struct note *note, uint32_t ready) {
  int n = 0;
  if ((note->events & EPOLLIN) && (ready & (READING | HANG_UP)))
    report(&events[n++], note, EVFILT_READ,
           (ready & (EPOLLRDHUP | HANG_UP)) != 0);
  if (n < room && (note->events & EPOLLOUT) && (ready & (EPOLLOUT | HANG_UP)))
    report(&events[n++], note, EVFILT_WRITE, (ready & HANG_UP) != 0);
  return n;
}

static int wait_events(struct queue *q, struct kevent *events, int max,
                       int timeout) {
  struct epoll_event ready[WAIT_EVENTS];
  int count = 0;
  int n =
      epoll_wait(q->fd, ready, max < WAIT_EVENTS ? max : WAIT_EVENTS, timeout);
  for (int i = 0; i < n && count < max; i++) {
    struct note **at = &q->notes;
    while (*at != NULL && (*at)->id != ready[i].data.u64)
      at = &(*at)->next;
    if (*at == NULL)
      continue;
    if ((*at)->events != 0) {
      count +=
          report_descriptor(&events[count], max - count, *at, ready[i].events);
    } else {
      events[count++] = (*at)->alarm;
      drop_note(at); /* all are one shot */
    }
  }
  return n < 0 ? -1 : count;
}

int kevent(int kq, const struct kevent *changes, int nchanges,
           struct kevent *events, int nevents, const struct timespec *timeout) {
  struct queue *q = *find_queue(kq);
  int error = q == NULL ? EBADF : 0;
  if (nchanges > 0 && nevents > 0) /* systems report errors differently */
    error = EINVAL;
  for (int i = 0; i < nchanges && error == 0; i++)
    error = change(q, &changes[i]);
  if (error != 0) {
    errno = error;
    return -1;
  }
  if (nevents == 0)
    return 0;
  return wait_events(q, events, nevents,
                     timeout == NULL ? -1
                                     : (int)(timeout->tv_sec * 1000 +
                                             timeout->tv_nsec / 1000000));
}
