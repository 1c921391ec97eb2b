/*
** driver.c - see driver.h.
** SPDX-License-Identifier: MIT
*/
#include "driver.h"

#include <string.h>

/* Pushes a copy of the string argument, `more` bytes longer. */
static char *copy_of(lua_State *L, int arg, size_t more, size_t *len) {
  const char *text = luaL_checklstring(L, arg, len);
  char *copy = lua_newuserdata(L, *len + more);
  if (*len > 0)
    memcpy(copy, text, *len);
  return copy;
}

char *engine_bytes(lua_State *L, int arg, size_t *len) {
  return copy_of(L, arg, 0, len);
}

char *engine_text(lua_State *L, int arg) {
  size_t len;
  char *copy = copy_of(L, arg, 1, &len);
  copy[len] = '\0';
  luaL_argcheck(L, strlen(copy) == len, arg, "no NUL expected");
  return copy;
}

void *engine_object(lua_State *L, size_t size, const char *class) {
  void *object = lua_newuserdata(L, size);
  memset(object, 0, size);
  luaL_getmetatable(L, class);
  lua_setmetatable(L, -2);
  return object;
}

void engine_class(lua_State *L, const char *name, lua_CFunction gc,
                  const luaL_Reg *methods) {
  luaL_newmetatable(L, name);
  if (gc != NULL) {
    lua_pushcfunction(L, gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_newtable(L);
  uqL_setfuncs(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}

int luaopen_engine(lua_State *L); /* Lua's headers do not declare it */

int luaopen_engine(lua_State *L) {
  lua_newtable(L);
  engine_open_base(L);
  engine_open_number(L);
  engine_open_policy(L);
  engine_open_http(L);
  engine_open_event(L);
  engine_open_heap(L);
  return 1;
}
