/*
** private_file.c - see private_file.h.
** SPDX-License-Identifier: MIT
*/
#define _GNU_SOURCE          /* O_CLOEXEC, O_NOFOLLOW, fchmod */
#define _FILE_OFFSET_BITS 64 /* large inode numbers, too */
#include "engine/store/private_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* NONBLOCK: opening a FIFO would wait for its other end */
#define FLAGS (O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

static int open_retrying(const char *path, int flags) {
  int fd;
  do
    fd = open(path, flags | FLAGS, S_IRUSR | S_IWUSR);
  while (fd < 0 && errno == EINTR);
  return fd;
}

static void set_message(char *message, const char *path, const char *what) {
  snprintf(message, UQ_MESSAGE_SIZE, "%s %s", path, what);
}

bool uq_private_file_folder(const char *path, char *message) {
  char folder[UQ_PATH_SIZE];
  struct stat st;
  const char *slash = strrchr(path, '/');
  int len = slash == NULL || slash == path ? 1 : (int)(slash - path);
  snprintf(folder, sizeof folder, "%.*s", len, slash == NULL ? "." : path);
  if (stat(folder, &st) != 0) {
    snprintf(message, UQ_MESSAGE_SIZE, "no folder %s: %s", folder,
             strerror(errno));
    return false;
  }
  if (st.st_uid != geteuid() && st.st_uid != 0) { /* sticky or not */
    set_message(message, folder,
                "belongs to another user, who can replace its files");
    return false;
  }
  if ((st.st_mode & (S_IWGRP | S_IWOTH)) == 0 || (st.st_mode & S_ISVTX) != 0)
    return true;
  set_message(message, folder, "lets others replace its files: chmod go-w");
  return false;
}

/* Why an open file is not private; NULL: it is. */
static const char *find_fault(int fd) {
  struct stat st;
  if (fstat(fd, &st) != 0)
    return "cannot be looked at";
  if (!S_ISREG(st.st_mode))
    return "is not a regular file";
  if (st.st_uid != geteuid())
    return "belongs to another user";
  if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
    return "is open to others: chmod 600, if all in it is yours";
  return NULL;
}

int uq_private_file_open(const char *path, int flags, char *message) {
  struct stat st;
  int fd = open_retrying(path, flags);
  message[0] = '\0';
  if (fd < 0) {
    int error = errno;
    if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode))
      set_message(message, path, "is a symbolic link");
    else if (error != ENOENT)
      snprintf(message, UQ_MESSAGE_SIZE, "cannot open %s: %s", path,
               strerror(error));
    return -1;
  }
  const char *fault = find_fault(fd);
  if (fault == NULL)
    return fd;
  close(fd);
  set_message(message, path, fault);
  return -1;
}

int uq_private_file_create(const char *path, char *message) {
  int fd = open_retrying(path, O_RDWR | O_CREAT | O_EXCL);
  message[0] = '\0';
  if (fd >= 0) {
    if (fchmod(fd, S_IRUSR | S_IWUSR) == 0)
      return fd;
    int error = errno;
    close(fd);
    unlink(path);
    errno = error;
  }
  if (errno != EEXIST)
    snprintf(message, UQ_MESSAGE_SIZE, "cannot make %s: %s", path,
             strerror(errno));
  return -1;
}
