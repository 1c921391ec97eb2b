/*
** disk.c - a disk that fails, for the specs alone. Preloaded (LD_PRELOAD), it
** makes the calls fail that UQPAY_DISK names: "posix" takes the locks of open
** file descriptions away, "nolock" all locks; "slow" interrupts reads and
** writes, and does them byte by byte; "race" makes a file that is to be new
** just before; "full", "fsync", "close", "rename", "create", "fchmod" and
** "read" are errors of what they say.
** SPDX-License-Identifier: MIT
*/
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int fails(const char *what) {
  const char *list = getenv("UQPAY_DISK");
  return list != NULL && strcmp(list, what) == 0;
}

static int error(int code) {
  errno = code;
  return -1;
}

/* Is it a store's? Not what an interpreter or its wrappers read. */
static int is_store(int fd) {
  struct stat st;
  return fstat(fd, &st) == 0 && st.st_mode == (S_IFREG | S_IRUSR | S_IWUSR);
}

/* Every other call is interrupted. */
static int interrupted(void) {
  static int calls;
  return ++calls % 2 == 1;
}

int fcntl(int fd, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  void *argument = va_arg(arguments, void *);
  va_end(arguments);
  if (command == F_OFD_SETLK && fails("posix"))
    return error(EINVAL);
  if ((command == F_OFD_SETLK || command == F_SETLK) && fails("nolock"))
    return error(ENOLCK);
  return (int)syscall(SYS_fcntl, fd, command, argument);
}

int open(const char *path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  int mode = flags & O_CREAT ? va_arg(arguments, int) : 0;
  va_end(arguments);
  if ((flags & O_EXCL) && fails("create"))
    return error(EROFS);
  if (fails("slow") && interrupted())
    return error(EINTR);
  if ((flags & O_EXCL) && fails("race"))
    syscall(SYS_close, syscall(SYS_openat, AT_FDCWD, path, flags, mode));
  return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

ssize_t read(int fd, void *bytes, size_t n) {
  if (is_store(fd) && fails("read"))
    return error(EIO);
  if (is_store(fd) && fails("slow")) {
    if (interrupted())
      return error(EINTR);
    n = n > 1 ? 1 : n;
  }
  return syscall(SYS_read, fd, bytes, n);
}

ssize_t write(int fd, const void *bytes, size_t n) {
  if (is_store(fd) && fails("full")) {
    if (lseek(fd, 0, SEEK_CUR) >= 20)
      return error(ENOSPC);
    n = n > 20 ? 20 : n;
  }
  if (is_store(fd) && fails("slow")) {
    if (interrupted())
      return error(EINTR);
    n = n > 1 ? 1 : n;
  }
  return syscall(SYS_write, fd, bytes, n);
}

int fsync(int fd) {
  if (fails("fsync"))
    return error(EIO);
  if (fails("slow") && interrupted())
    return error(EINTR);
  return (int)syscall(SYS_fsync, fd);
}

int close(int fd) {
  int full = fails("close") && is_store(fd) && lseek(fd, 0, SEEK_CUR) > 0;
  int result = (int)syscall(SYS_close, fd);
  return full ? error(EDQUOT) : result;
}

int rename(const char *from, const char *to) {
  if (fails("rename"))
    return error(EXDEV);
  return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int fchmod(int fd, mode_t mode) {
  if (fails("fchmod"))
    return error(EPERM);
  return (int)syscall(SYS_fchmod, fd, mode);
}
