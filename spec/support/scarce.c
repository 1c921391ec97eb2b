/*
** scarce.c - libcurl without memory, for the specs alone. To be required before
** the first client is made: libcurl takes its memory from here then.
**
** Preloaded (LD_PRELOAD) it can refuse the module blocks of some size, too.
** SPDX-License-Identifier: MIT
*/
#include <curl/curl.h>
#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <stdlib.h>
#include <string.h>

static size_t least, most; /* what malloc refuses; 0: nothing */

void *__libc_malloc(size_t size);

void *malloc(size_t size) {
  if (most != 0 && size >= least && size <= most) {
    errno = ENOMEM;
    return NULL;
  }
  return __libc_malloc(size);
}

/* refuse([least, most]) -> is it so? Not where a sanitizer has a malloc of its
** own. */
static int scarce_refuse(lua_State *L) {
  least = (size_t)luaL_optinteger(L, 1, 0);
  most = (size_t)luaL_optinteger(L, 2, 0);
  void *volatile block = malloc(most);
  lua_pushboolean(L, block == NULL);
  free(block);
  return 1;
}

static long left;   /* allocations before the first that fails */
static int denying; /* 0: none does */

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

/* deny(n): only n more allocations of libcurl's are granted. */
static int scarce_deny(lua_State *L) {
  left = (long)luaL_checkinteger(L, 1);
  denying = 1;
  return 0;
}

/* grant() -> did it come to one that was not? All are granted again. */
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
