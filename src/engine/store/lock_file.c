/*
** lock_file.c - see lock_file.h.
**
** Locks of open file descriptions where the system has them, else those of
** POSIX. The former are shared with a fork's child, the latter lost when any
** descriptor of the file is closed, and neither keeps two threads apart that
** share a descriptor. So the process has one list of what it holds, and one
** descriptor for all its locks of a file, closed with the last of them; and a
** child closes what it inherits, lest its parent's locks outlive the parent.
** SPDX-License-Identifier: MIT
*/
#define _GNU_SOURCE          /* F_OFD_SETLK */
#define _FILE_OFFSET_BITS 64 /* large inode numbers, too */
#include "engine/store/lock_file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct hold {
  struct hold *next;
  const void *owner;
  pid_t process;
  dev_t device; /* the lock file */
  ino_t inode;
  long byte;
  int fd;
};

static struct hold *holds;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
#if defined(F_OFD_SETLK)
static int command = F_OFD_SETLK;
#else
static int command = F_SETLK;
#endif

/* 0, or an errno. */
static int set_lock(int fd, short type, long byte) {
  for (;;) {
    struct flock lock;
    memset(&lock, 0, sizeof lock);
    lock.l_type = type;
    lock.l_whence = SEEK_SET;
    lock.l_start = (off_t)byte;
    lock.l_len = 1;
    if (fcntl(fd, command, &lock) == 0)
      return 0;
    if (errno == EINVAL && command != F_SETLK)
      command = F_SETLK; /* an older kernel */
    else if (errno != EINTR)
      return errno;
  }
}

/* A lock of that file; of the byte alone, or of any. NULL: none is held. */
static struct hold *find(dev_t device, ino_t inode, long byte) {
  struct hold *h = holds;
  while (h != NULL && (h->device != device || h->inode != inode ||
                       (h->byte != byte && byte != UQ_LOCK_FILE_ALL)))
    h = h->next;
  return h;
}

/* Takes a hold out of the list; its descriptor is closed with the last. */
static void drop(struct hold **link) {
  struct hold *h = *link;
  *link = h->next;
  if (find(h->device, h->inode, UQ_LOCK_FILE_ALL) == NULL)
    close(h->fd);
  free(h);
}

/* Nothing is unlocked: the locks are the parent's. */
static void forget_inherited(void) {
  pid_t process = getpid();
  struct hold **link = &holds;
  while (*link != NULL) {
    if ((*link)->process != process)
      drop(link);
    else
      link = &(*link)->next;
  }
}

static void enter(void) { pthread_mutex_lock(&mutex); }
static void leave(void) { pthread_mutex_unlock(&mutex); }

static void after_fork(void) {
  forget_inherited();
  leave();
}

static void watch_forks(void) { pthread_atfork(enter, leave, after_fork); }

/* Another process may make the file at the same time. */
static int open_file(const char *path, char *message) {
  int fd = uq_private_file_open(path, O_RDWR, message);
  if (fd < 0 && message[0] == '\0')
    fd = uq_private_file_create(path, message);
  if (fd < 0 && message[0] == '\0')
    fd = uq_private_file_open(path, O_RDWR, message);
  if (fd < 0 && message[0] == '\0')
    snprintf(message, UQ_MESSAGE_SIZE, "%s comes and goes", path);
  return fd;
}

static enum uq_result take(const char *path, long byte, const void *owner,
                           char *message) {
  struct stat st;
  struct hold *other = NULL;
  forget_inherited();
  if (lstat(path, &st) == 0) {
    other = find(st.st_dev, st.st_ino, UQ_LOCK_FILE_ALL);
    if (find(st.st_dev, st.st_ino, byte) != NULL)
      return UQ_NOT;
  }
  int fd = other != NULL ? other->fd : open_file(path, message);
  if (fd < 0)
    return UQ_FAILED;
  int error = fstat(fd, &st) != 0 ? errno : set_lock(fd, F_WRLCK, byte);
  struct hold *h = error == 0 ? malloc(sizeof *h) : NULL;
  if (h != NULL) {
    *h = (struct hold){holds, owner, getpid(), st.st_dev, st.st_ino, byte, fd};
    holds = h;
    return UQ_DONE;
  }
  if (other == NULL)
    close(fd);
  else if (error == 0)
    set_lock(fd, F_UNLCK, byte);
  if (error == EAGAIN || error == EACCES)
    return UQ_NOT;
  snprintf(message, UQ_MESSAGE_SIZE, "cannot lock %s: %s", path,
           strerror(error == 0 ? ENOMEM : error));
  return UQ_FAILED;
}

enum uq_result uq_lock_file_acquire(const char *path, long byte,
                                    const void *owner, char *message) {
  pthread_once(&once, watch_forks);
  enter();
  enum uq_result result = take(path, byte, owner, message);
  leave();
  return result;
}

void uq_lock_file_release(long byte, const void *owner) {
  enter();
  forget_inherited();
  struct hold **link = &holds;
  while (*link != NULL) {
    struct hold *h = *link;
    if (h->owner == owner && (byte == UQ_LOCK_FILE_ALL || h->byte == byte)) {
      set_lock(h->fd, F_UNLCK, h->byte); /* a child may have the descriptor */
      drop(link);
    } else {
      link = &h->next;
    }
  }
  leave();
}
