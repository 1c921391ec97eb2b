/*
** event.c - drives src/engine/event: the poller, and descriptors for it.
** SPDX-License-Identifier: MIT
*/
#define _GNU_SOURCE
#include "driver.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/event/poller.h"

#define POLLER "engine.poller" /* metatable */

/* ---- poller ------------------------------------------------------------- */

/* engine.poller_name() */
static int poller_name(lua_State *L) {
  lua_pushstring(L, uq_poller_name());
  return 1;
}

static int poller_new(lua_State *L) {
  struct uq_poller *p = engine_object(L, sizeof *p, POLLER);
  uq_poller_init(p);
  int error = uq_poller_open(p);
  return error == 0 ? 1 : luaL_error(L, "no poller: %s", strerror(error));
}

static struct uq_poller *to_poller(lua_State *L) {
  return luaL_checkudata(L, 1, POLLER);
}

static int poller_close(lua_State *L) {
  uq_poller_close(to_poller(L));
  return 0;
}

/* poller:watch(fd, what) -> errno */
static int poller_watch(lua_State *L) {
  int fd = (int)luaL_checkinteger(L, 2);
  int what = (int)luaL_checkinteger(L, 3);
  lua_pushinteger(L, uq_poller_watch(to_poller(L), fd, what));
  return 1;
}

static int poller_pause(lua_State *L) {
  lua_pushinteger(L,
                  uq_poller_pause(to_poller(L), (int)luaL_checkinteger(L, 2)));
  return 1;
}

/* poller:timer(ms): from now; below 0 disarms it */
static int poller_timer(lua_State *L) {
  double ms = (double)luaL_checknumber(L, 2);
  uq_poller_timer(to_poller(L), ms < 0 ? -1 : uq_clock() + ms / 1000);
  return 0;
}

static int poller_due(lua_State *L) {
  lua_pushboolean(L, uq_poller_due(to_poller(L)));
  return 1;
}

static int poller_fd(lua_State *L) {
  lua_pushinteger(L, uq_poller_fd(to_poller(L)));
  return 1;
}

static int poller_arm(lua_State *L) {
  uq_poller_arm(to_poller(L));
  return 0;
}

static int poller_notify(lua_State *L) {
  uq_poller_notify(to_poller(L));
  return 0;
}

/* poller:wait(limit_ms [, max]) -> { [fd] = what }, number of events */
static int poller_wait(lua_State *L) {
  struct uq_event events[64];
  int max = (int)luaL_optinteger(L, 3, 64);
  luaL_argcheck(L, max > 0 && max <= 64, 3, "1 to 64 expected");
  int n =
      uq_poller_wait(to_poller(L), events, max, (long)luaL_checkinteger(L, 2));
  lua_newtable(L);
  for (int i = 0; i < n; i++) {
    lua_pushinteger(L, events[i].what);
    lua_rawseti(L, -2, events[i].fd);
  }
  lua_pushinteger(L, n);
  return 2;
}

static const luaL_Reg poller_methods[] = {
    {"watch", poller_watch}, {"timer", poller_timer},
    {"due", poller_due},     {"fd", poller_fd},
    {"arm", poller_arm},     {"notify", poller_notify},
    {"wait", poller_wait},   {"close", poller_close},
    {"pause", poller_pause}, {NULL, NULL}};

/* ---- descriptors to watch ----------------------------------------------- */

/* engine.pipe() -> the end to read, the end to write */
static int new_pipe(lua_State *L) {
  int ends[2];
  if (pipe(ends) != 0)
    return luaL_error(L, "no pipe");
  lua_pushinteger(L, ends[0]);
  lua_pushinteger(L, ends[1]);
  return 2;
}

static int write_fd(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 2, &len);
  ssize_t n = write((int)luaL_checkinteger(L, 1), text, len);
  lua_pushboolean(L, n == (ssize_t)len);
  return 1;
}

/* engine.read(fd) -> up to 512 bytes, "" at the end */
static int read_fd(lua_State *L) {
  char bytes[512];
  ssize_t n = read((int)luaL_checkinteger(L, 1), bytes, sizeof bytes);
  if (n < 0)
    return luaL_error(L, "cannot read");
  lua_pushlstring(L, bytes, (size_t)n);
  return 1;
}

static int close_fd(lua_State *L) {
  lua_pushboolean(L, close((int)luaL_checkinteger(L, 1)) == 0);
  return 1;
}

/* engine.readable(fd, ms): what poll(2) reports */
static int readable(lua_State *L) {
  struct pollfd p = {(int)luaL_checkinteger(L, 1), POLLIN, 0};
  int n = poll(&p, 1, (int)luaL_checkinteger(L, 2));
  lua_pushboolean(L, n == 1 && (p.revents & POLLIN) != 0);
  return 1;
}

static const luaL_Reg functions[] = {
    {"poller", poller_new}, {"poller_name", poller_name},
    {"pipe", new_pipe},     {"write", write_fd},
    {"read", read_fd},      {"close", close_fd},
    {"readable", readable}, {NULL, NULL}};

void engine_open_event(lua_State *L) {
  engine_class(L, POLLER, poller_close, poller_methods);
  uqL_setfuncs(L, functions);
}
