/*
** compat.c - see compat.h.
** SPDX-License-Identifier: MIT
*/
#define _GNU_SOURCE /* dladdr, RTLD_DEFAULT */
#include "binding/compat.h"

#if LUA_VERSION_NUM == 501

#include <dlfcn.h>
#include <pthread.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int (*is_yieldable)(lua_State *L); /* NULL: Lua 5.1 */

/* A process may have loaded both interpreters: the function must come from the
** one that runs this module. */
static void find_is_yieldable(void) {
  Dl_info found, interpreter;
  void *address = dlsym(RTLD_DEFAULT, "lua_isyieldable");
  void *other = dlsym(RTLD_DEFAULT, "lua_gettop");
  if (address != NULL && other != NULL && dladdr(address, &found) != 0 &&
      dladdr(other, &interpreter) != 0 &&
      found.dli_fbase == interpreter.dli_fbase)
    *(void **)&is_yieldable = address;
}

int uqL_yieldable(lua_State *L) {
  pthread_once(&once, find_is_yieldable);
  return is_yieldable == NULL || is_yieldable(L);
}

#elif LUA_VERSION_NUM == 502

int uqL_yieldable(lua_State *L) {
  (void)L;
  return 1;
}

#else

int uqL_yieldable(lua_State *L) { return lua_isyieldable(L); }

#endif
