/*
** heap.c - finds secrets in the heap of this process.
** SPDX-License-Identifier: MIT
*/
#define _GNU_SOURCE
#include "driver.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Sets the addresses at which malloc's heap begins and ends. */
static bool find_heap(uintptr_t *from, uintptr_t *to) {
  char line[512];
  bool found = false;
  FILE *maps = fopen("/proc/self/maps", "r");
  while (maps != NULL && !found && fgets(line, sizeof line, maps) != NULL)
    found = strstr(line, "[heap]") != NULL &&
            sscanf(line, "%" SCNxPTR "-%" SCNxPTR, from, to) == 2;
  if (maps != NULL)
    fclose(maps);
  return found;
}

/* engine.heap_count(first, second) -> how often `first` directly followed by
** `second` is in the heap, used or freed. 0 also if the heap cannot be read.
** Neither this function nor its caller may join the two, which would put a
** match into the heap. The buffer is wiped. */
static int heap_count(lua_State *L) {
  static char part[65536]; /* not in the heap */
  size_t n1, n2, kept = 0;
  const char *first = luaL_checklstring(L, 1, &n1);
  const char *second = luaL_checklstring(L, 2, &n2);
  uintptr_t at = 0, end = 0;
  int fd = find_heap(&at, &end) ? open("/proc/self/mem", O_RDONLY) : -1;
  lua_Integer count = 0;
  while (fd >= 0 && at < end) {
    size_t room = sizeof part - kept;
    size_t left = end - at < room ? (size_t)(end - at) : room;
    ssize_t n = pread(fd, part + kept, left, (off_t)at);
    if (n <= 0)
      break;
    at += (size_t)n;
    size_t size = kept + (size_t)n;
    for (const char *p = part;
         (p = memmem(p, (size_t)(part + size - p), first, n1)) != NULL; p++)
      count += (size_t)(part + size - p) >= n1 + n2 &&
               memcmp(p + n1, second, n2) == 0;
    kept = size < n1 + n2 - 1 ? size : n1 + n2 - 1; /* it may begin a match */
    memmove(part, part + size - kept, kept);
  }
  if (fd >= 0)
    close(fd);
  memset(part, 0, sizeof part);
  lua_pushinteger(L, count);
  return 1;
}

static const luaL_Reg functions[] = {{"heap_count", heap_count}, {NULL, NULL}};

void engine_open_heap(lua_State *L) { uqL_setfuncs(L, functions); }
