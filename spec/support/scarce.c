/*
** scarce.c - libcurl without memory, for the specs only. Require it before the
** first client is made: libcurl uses its allocator then.
**
** Preloaded (LD_PRELOAD), it can also refuse the module blocks of some sizes.
** SPDX-License-Identifier: MIT
*/
#include <curl/curl.h>
#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <stdlib.h>
#include <string.h>

static size_t least, most; /* sizes that malloc refuses; 0: none */

void *__libc_malloc(size_t size);

void *malloc(size_t size) {
  if (most != 0 && size >= least && size <= most) {
    errno = ENOMEM;
    return NULL;
  }
  return __libc_malloc(size);
}

/* refuse([least, most]) -> true if it has an effect: not with the malloc of a
** sanitizer. */
static int scarce_refuse(lua_State *L) {
  least = (size_t)luaL_optinteger(L, 1, 0);
  most = (size_t)luaL_optinteger(L, 2, 0);
  void *volatile block = malloc(most);
  lua_pushboolean(L, block == NULL);
  free(block);
  return 1;
}

static long left;   /* allocations before the first that fails */
static int denying; /* 0: none fails */

static int denied(void) { return denying && left-- <= 0; }

static void *scarce_malloc(size_t size) {
  return denied() ? NULL : malloc(size);
}

static void *scarce_calloc(size_t n, size_t size) {
  return denied() ? NULL : calloc(n, size);
}

static void *scarce_realloc(void *block, size_t size) {
  return denied() ? NULL : realloc(block, size);
}

static char *scarce_strdup(const char *text) {
  char *copy = scarce_malloc(strlen(text) + 1);
  return copy == NULL ? NULL : strcpy(copy, text);
}

/* deny(n): all allocations of libcurl after n more fail. */
static int scarce_deny(lua_State *L) {
  left = (long)luaL_checkinteger(L, 1);
  denying = 1;
  return 0;
}

/* grant() -> true if one failed. No more fail. */
static int scarce_grant(lua_State *L) {
  denying = 0;
  lua_pushboolean(L, left < 0);
  return 1;
}

int luaopen_scarce(lua_State *L);

int luaopen_scarce(lua_State *L) {
  if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, scarce_malloc, free,
                           scarce_realloc, scarce_strdup,
                           scarce_calloc) != CURLE_OK)
    return luaL_error(L, "no libcurl");
  lua_newtable(L);
  lua_pushcfunction(L, scarce_deny);
  lua_setfield(L, -2, "deny");
  lua_pushcfunction(L, scarce_grant);
  lua_setfield(L, -2, "grant");
  lua_pushcfunction(L, scarce_refuse);
  lua_setfield(L, -2, "refuse");
  return 1;
}
