/*
** disk.c - a disk that fails, for the specs only. Preloaded (LD_PRELOAD), it
** simulates the fault that UQPAY_DISK or its Lua function fail names: "posix":
** no open file description locks; "nolock": no locks; "slow": reads and writes
** are interrupted and transfer single bytes; "race": another process creates
** the file just before; "create", "fchmod", "read", "write", "fsync", "close"
** and "rename": that call fails, with its usual errno or another one, as in
** "write EDQUOT".
** SPDX-License-Identifier: MIT
*/
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64 /* like the module, which calls open64 */
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <lua.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(SYS_fcntl64)
#define FCNTL SYS_fcntl64
#else
#define FCNTL SYS_fcntl
#endif

static char fault[32]; /* instead of UQPAY_DISK; "": not set */

static const char *current_fault(void) {
  const char *word = fault[0] != '\0' ? fault : getenv("UQPAY_DISK");
  return word != NULL ? word : "";
}

static int fails(const char *what) {
  size_t len = strlen(what);
  const char *word = current_fault();
  return strncmp(word, what, len) == 0 &&
         (word[len] == '\0' || word[len] == ' ');
}

static int fail_with(int code) {
  const char *other = strchr(current_fault(), ' ');
  if (other != NULL)
    code = strcmp(other, " ENOSPC") == 0   ? ENOSPC
           : strcmp(other, " EDQUOT") == 0 ? EDQUOT
                                           : EIO;
  errno = code;
  return -1;
}

/* True for files of a token store: interpreters read others. */
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
    return fail_with(EINVAL);
  if ((command == F_OFD_SETLK || command == F_SETLK) && fails("nolock"))
    return fail_with(ENOLCK);
  return (int)syscall(FCNTL, fd, command, argument);
}

int open(const char *path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  int mode = flags & O_CREAT ? va_arg(arguments, int) : 0;
  va_end(arguments);
  flags |= O_LARGEFILE;
  if ((flags & O_EXCL) && fails("create"))
    return fail_with(EROFS);
  if (fails("slow") && interrupted())
    return fail_with(EINTR);
  if ((flags & O_EXCL) && fails("race"))
    syscall(SYS_close, syscall(SYS_openat, AT_FDCWD, path, flags, mode));
  return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

ssize_t read(int fd, void *bytes, size_t n) {
  if (is_store(fd) && fails("read"))
    return fail_with(EIO);
  if (is_store(fd) && fails("slow")) {
    if (interrupted())
      return fail_with(EINTR);
    n = n > 1 ? 1 : n;
  }
  return syscall(SYS_read, fd, bytes, n);
}

ssize_t write(int fd, const void *bytes, size_t n) {
  if (is_store(fd) && fails("write")) {
    if (lseek(fd, 0, SEEK_CUR) >= 20)
      return fail_with(ENOSPC);
    n = n > 20 ? 20 : n;
  }
  if (is_store(fd) && fails("slow")) {
    if (interrupted())
      return fail_with(EINTR);
    n = n > 1 ? 1 : n;
  }
  return syscall(SYS_write, fd, bytes, n);
}

int fsync(int fd) {
  if (fails("fsync"))
    return fail_with(EIO);
  if (fails("slow") && interrupted())
    return fail_with(EINTR);
  return (int)syscall(SYS_fsync, fd);
}

int close(int fd) {
  int full = fails("close") && is_store(fd) && lseek(fd, 0, SEEK_CUR) > 0;
  int result = (int)syscall(SYS_close, fd);
  return full ? fail_with(EDQUOT) : result;
}

int rename(const char *from, const char *to) {
  if (fails("rename"))
    return fail_with(EXDEV);
  return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int fchmod(int fd, mode_t mode) {
  if (fails("fchmod"))
    return fail_with(EPERM);
  return (int)syscall(SYS_fchmod, fd, mode);
}

/* fail(word): sets the fault; "none": no fault */
static int disk_fail(lua_State *L) {
  size_t len;
  const char *word = luaL_checklstring(L, 1, &len);
  luaL_argcheck(L, len < sizeof fault, 1, "a word of UQPAY_DISK expected");
  memcpy(fault, word, len + 1);
  return 0;
}

int luaopen_disk(lua_State *L);

int luaopen_disk(lua_State *L) {
  lua_newtable(L);
  lua_pushcfunction(L, disk_fail);
  lua_setfield(L, -2, "fail");
  return 1;
}
