/*
** shift.c - clocks that a spec can set. Preloaded (LD_PRELOAD), it replaces
** the functions that return the time, and timerfd_settime; the functions of
** its Lua module set the offsets. For the specs only.
** SPDX-License-Identifier: MIT
*/
#define _GNU_SOURCE
#include <lauxlib.h>
#include <lua.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static time_t monotonic, realtime; /* seconds ahead of the system's */

int clock_gettime(clockid_t id, struct timespec *now) {
  int result = (int)syscall(SYS_clock_gettime, id, now);
  if (result == 0 && id == CLOCK_MONOTONIC)
    now->tv_sec += monotonic;
  if (result == 0 && id == CLOCK_REALTIME)
    now->tv_sec += realtime;
  return result;
}

/* nginx's clock */
int gettimeofday(struct timeval *now, void *zone) {
  struct timespec precise;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &precise);
  now->tv_sec = precise.tv_sec;
  now->tv_usec = precise.tv_nsec / 1000;
  return 0;
}

/* The clock of Lua's os.time, OpenSSL and libcurl's caches. */
time_t time(time_t *now) {
  struct timespec precise;
  clock_gettime(CLOCK_REALTIME, &precise);
  if (now != NULL)
    *now = precise.tv_sec;
  return precise.tv_sec;
}

/* The kernel's timers do not know the offset. */
int timerfd_settime(int fd, int flags, const struct itimerspec *when,
                    struct itimerspec *old) {
  struct itimerspec moved = *when;
  if ((flags & TFD_TIMER_ABSTIME) && moved.it_value.tv_sec > monotonic)
    moved.it_value.tv_sec -= monotonic;
  return (int)syscall(SYS_timerfd_settime, fd, flags, &moved, old);
}

/* monotonic(seconds): advances the monotonic clock */
static int shift_monotonic(lua_State *L) {
  monotonic += (time_t)luaL_checkinteger(L, 1);
  return 0;
}

/* realtime(seconds): advances the wall clock, or sets it back */
static int shift_realtime(lua_State *L) {
  realtime += (time_t)luaL_checkinteger(L, 1);
  return 0;
}

static const luaL_Reg functions[] = {
    {"monotonic", shift_monotonic}, {"realtime", shift_realtime}, {NULL, NULL}};

int luaopen_shift(lua_State *L);

int luaopen_shift(lua_State *L) {
  lua_newtable(L);
  for (const luaL_Reg *f = functions; f->name != NULL; f++) {
    lua_pushcfunction(L, f->func);
    lua_setfield(L, -2, f->name);
  }
  return 1;
}
