/*
** fork.c - what plain Lua has no words for and the specs of processes need:
** fork, wait, _exit, and the state of SIGPIPE. For the specs alone.
**
** Preloaded (LD_PRELOAD) it makes send() raise SIGPIPE, which newer versions
** of libcurl ask it not to do: so it is with the older ones.
** SPDX-License-Identifier: MIT
*/
#define _GNU_SOURCE
#include <lauxlib.h>
#include <lua.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

ssize_t send(int fd, const void *bytes, size_t n, int flags) {
  return syscall(SYS_sendto, fd, bytes, n, flags & ~MSG_NOSIGNAL, NULL, 0);
}

/* fork() -> 0 in the child, the child's pid in the parent */
static int fork_fork(lua_State *L) {
  pid_t pid = fork();
  if (pid < 0)
    return luaL_error(L, "cannot fork");
  lua_pushinteger(L, (lua_Integer)pid);
  return 1;
}

/* wait(pid) -> "exit" or "signal", and which */
static int fork_wait(lua_State *L) {
  int status;
  if (waitpid((pid_t)luaL_checkinteger(L, 1), &status, 0) < 0)
    return luaL_error(L, "no such child");
  lua_pushstring(L, WIFSIGNALED(status) ? "signal" : "exit");
  lua_pushinteger(L,
                  WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
  return 2;
}

/* leave(code): ends the process at once, the Lua state stays as it is */
static int fork_leave(lua_State *L) {
  _exit((int)luaL_checkinteger(L, 1));
  return 0;
}

/* default_pipe(): SIGPIPE kills, whatever was inherited */
static int fork_default_pipe(lua_State *L) {
  sigset_t set;
  (void)L;
  sigemptyset(&set);
  sigaddset(&set, SIGPIPE);
  signal(SIGPIPE, SIG_DFL);
  sigprocmask(SIG_UNBLOCK, &set, NULL);
  return 0;
}

/* pending_pipe(): a SIGPIPE comes while it is blocked, and so it waits */
static int fork_pending_pipe(lua_State *L) {
  sigset_t set;
  (void)L;
  sigemptyset(&set);
  sigaddset(&set, SIGPIPE);
  sigprocmask(SIG_BLOCK, &set, NULL);
  raise(SIGPIPE);
  return 0;
}

static const luaL_Reg functions[] = {{"fork", fork_fork},
                                     {"wait", fork_wait},
                                     {"leave", fork_leave},
                                     {"default_pipe", fork_default_pipe},
                                     {"pending_pipe", fork_pending_pipe},
                                     {NULL, NULL}};

int luaopen_fork(lua_State *L);

int luaopen_fork(lua_State *L) {
  lua_newtable(L);
  for (const luaL_Reg *f = functions; f->name != NULL; f++) {
    lua_pushcfunction(L, f->func);
    lua_setfield(L, -2, f->name);
  }
  return 1;
}
