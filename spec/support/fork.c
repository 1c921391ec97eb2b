/*
** fork.c - functions for the specs of processes that Lua does not have: fork,
** wait, _exit, the state of SIGPIPE, other Lua states, and a lack of memory.
**
** Preloaded (LD_PRELOAD), it makes send() raise SIGPIPE, as with older
** versions of libcurl, which do not set MSG_NOSIGNAL; and name resolution slow
** and unsuccessful.
** SPDX-License-Identifier: MIT
*/
#define _GNU_SOURCE
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <netdb.h>
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

int getaddrinfo(const char *node, const char *service,
                const struct addrinfo *hints, struct addrinfo **result) {
  (void)node;
  (void)service;
  (void)hints;
  *result = NULL;
  usleep(300000);
  return EAI_AGAIN;
}

static int push_pid(lua_State *L, long pid) {
  if (pid < 0)
    return luaL_error(L, "cannot fork");
  lua_pushinteger(L, (lua_Integer)pid);
  return 1;
}

/* fork() -> 0 in the child, the child's pid in the parent */
static int fork_fork(lua_State *L) { return push_pid(L, fork()); }

/* clone(): the same without the C library and its handlers of forks */
static int fork_clone(lua_State *L) {
  return push_pid(L, syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
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

/* leave(code): ends the process without closing the Lua state */
static int fork_leave(lua_State *L) {
  _exit((int)luaL_checkinteger(L, 1));
  return 0;
}

/* default_pipe(): SIGPIPE kills, even if it was ignored or blocked */
static int fork_default_pipe(lua_State *L) {
  sigset_t set;
  (void)L;
  sigemptyset(&set);
  sigaddset(&set, SIGPIPE);
  signal(SIGPIPE, SIG_DFL);
  sigprocmask(SIG_UNBLOCK, &set, NULL);
  return 0;
}

/* pending_pipe(): raises a SIGPIPE while it is blocked: it is pending */
static int fork_pending_pipe(lua_State *L) {
  sigset_t set;
  (void)L;
  sigemptyset(&set);
  sigaddset(&set, SIGPIPE);
  sigprocmask(SIG_BLOCK, &set, NULL);
  raise(SIGPIPE);
  return 0;
}

/* state(code): runs it in a new Lua state, and closes that */
static int fork_state(lua_State *L) {
  const char *code = luaL_checkstring(L, 1);
  lua_State *other = luaL_newstate();
  if (other == NULL)
    return luaL_error(L, "not enough memory");
  luaL_openlibs(other);
  if (luaL_loadstring(other, code) != 0 || lua_pcall(other, 0, 0, 0) != 0) {
    lua_pushstring(L, lua_tostring(other, -1));
    lua_close(other);
    return lua_error(L);
  }
  lua_close(other);
  return 0;
}

/* An allocator before Lua's own, which fails after a number of allocations. */
struct starvation {
  lua_Alloc alloc;
  void *data;
  long left;    /* allocations before the first that fails */
  long strikes; /* that fail; 0: all further ones */
};

static void *alloc_starved(void *data, void *block, size_t old, size_t size) {
  struct starvation *s = data;
  if (size > (block != NULL ? old : 0) && s->left-- <= 0 &&
      (s->strikes == 0 || s->left >= -s->strikes))
    return NULL;
  return s->alloc(s->data, block, old, size);
}

/* starve(n, f [, strikes]) -> whether an allocation failed, and what pcall(f)
** returns, with at most one result of f. After n allocations, all further ones
** or so many of them fail. */
static int fork_starve(lua_State *L) {
  struct starvation s;
  s.left = (long)luaL_checkinteger(L, 1);
  s.strikes = (long)luaL_optinteger(L, 3, 0);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, 2);
  s.alloc = lua_getallocf(L, &s.data);
  lua_setallocf(L, alloc_starved, &s);
  int status = lua_pcall(L, 0, 1, 0);
  lua_setallocf(L, s.alloc, s.data);
  lua_pushboolean(L, s.left < 0);
  lua_replace(L, 1);
  lua_pushboolean(L, status == 0);
  lua_insert(L, 2);
  return 3;
}

static const luaL_Reg functions[] = {{"fork", fork_fork},
                                     {"clone", fork_clone},
                                     {"wait", fork_wait},
                                     {"leave", fork_leave},
                                     {"default_pipe", fork_default_pipe},
                                     {"pending_pipe", fork_pending_pipe},
                                     {"state", fork_state},
                                     {"starve", fork_starve},
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
