/*
** lock_file.c - see lock_file.h.
**
** Open file description locks where the system has them, else POSIX locks. The
** former are shared with a forked child, the latter are lost when any
** descriptor of the file is closed, and neither excludes two threads that
** share a descriptor. So the process has one list of the locks that it holds,
** and one descriptor for all locks of a file, closed with the last of them. A
** child closes the inherited descriptors, so that the parent's locks end with
** the parent.
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

#include "engine/store/private_file.h"

struct held_lock {
  struct held_lock *next;
  const void *owner;
  pid_t process;
  dev_t device; /* the lock file */
  ino_t inode;
  long byte;
  int fd;
};

static struct held_lock *held_locks;
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

/* The lock of that byte of the file, or any lock of it. NULL: not held. */
static struct held_lock *find_held(dev_t device, ino_t inode, long byte) {
  struct held_lock *h = held_locks;
  while (h != NULL && (h->device != device || h->inode != inode ||
                       (h->byte != byte && byte != UQ_LOCK_FILE_ALL)))
    h = h->next;
  return h;
}

/* Removes a lock from the list; the last one of a file closes its
** descriptor. */
static void remove_held(struct held_lock **link) {
  struct held_lock *h = *link;
  *link = h->next;
  if (find_held(h->device, h->inode, UQ_LOCK_FILE_ALL) == NULL)
    close(h->fd);
  free(h);
}

/* Unlocks nothing: the locks are the parent's. */
static void forget_inherited(void) {
  pid_t process = getpid();
  struct held_lock **link = &held_locks;
  while (*link != NULL) {
    if ((*link)->process != process)
      remove_held(link);
    else
      link = &(*link)->next;
  }
}

static void lock_list(void) { pthread_mutex_lock(&mutex); }
static void unlock_list(void) { pthread_mutex_unlock(&mutex); }

static void after_fork(void) {
  forget_inherited();
  unlock_list();
}

static void watch_forks(void) {
  pthread_atfork(lock_list, unlock_list, after_fork);
}

/* Another process may create the file at the same time. */
static int open_lock_file(const char *path, char *message) {
  int fd = uq_private_file_open(path, O_RDWR, message);
  if (fd < 0 && message[0] == '\0')
    fd = uq_private_file_create(path, message);
  if (fd < 0 && message[0] == '\0')
    fd = uq_private_file_open(path, O_RDWR, message);
  if (fd < 0 && message[0] == '\0')
    snprintf(message, UQ_MESSAGE_SIZE,
             "%s is created and removed again and again", path);
  return fd;
}

/* Locks a byte of the open file and adds the lock to the list. 0, or an
** errno. */
static int lock_open_file(int fd, long byte, const void *owner) {
  struct stat st;
  struct held_lock *h = malloc(sizeof *h);
  if (h == NULL)
    return ENOMEM;
  int error = fstat(fd, &st) != 0 ? errno : set_lock(fd, F_WRLCK, byte);
  if (error != 0) {
    free(h);
    return error;
  }
  *h = (struct held_lock){held_locks, owner, getpid(), st.st_dev,
                          st.st_ino,  byte,  fd};
  held_locks = h;
  return 0;
}

static enum uq_lock_status acquire_listed(const char *path, long byte,
                                          const void *owner, char *message) {
  struct stat st;
  const struct held_lock *other = NULL;
  forget_inherited();
  if (lstat(path, &st) == 0) {
    other = find_held(st.st_dev, st.st_ino, UQ_LOCK_FILE_ALL);
    if (find_held(st.st_dev, st.st_ino, byte) != NULL)
      return UQ_LOCK_BUSY;
  }
  int fd = other != NULL ? other->fd : open_lock_file(path, message);
  if (fd < 0)
    return UQ_LOCK_ERROR;
  int error = lock_open_file(fd, byte, owner);
  if (error == 0)
    return UQ_LOCK_OK;
  if (other == NULL)
    close(fd);
  if (error == EAGAIN || error == EACCES)
    return UQ_LOCK_BUSY;
  snprintf(message, UQ_MESSAGE_SIZE, "cannot lock %s: %s", path,
           strerror(error));
  return UQ_LOCK_ERROR;
}

enum uq_lock_status uq_lock_file_acquire(const char *path, long byte,
                                         const void *owner, char *message) {
  pthread_once(&once, watch_forks);
  lock_list();
  enum uq_lock_status status = acquire_listed(path, byte, owner, message);
  unlock_list();
  return status;
}

void uq_lock_file_release(long byte, const void *owner) {
  lock_list();
  forget_inherited();
  struct held_lock **link = &held_locks;
  while (*link != NULL) {
    struct held_lock *h = *link;
    if (h->owner == owner && (byte == UQ_LOCK_FILE_ALL || h->byte == byte)) {
      set_lock(h->fd, F_UNLCK, h->byte); /* a child may have the descriptor */
      remove_held(link);
    } else {
      link = &h->next;
    }
  }
  unlock_list();
}
