/*
** driver.h - the engine as a Lua module, for the specs only: a file for each
** of its folders. A function of the module takes and returns as Lua values
** what the function of the engine takes and returns. Texts are passed in
** blocks of their exact length, so that a memory checker sees each read
** beyond.
** SPDX-License-Identifier: MIT
*/
#ifndef ENGINE_DRIVER_H
#define ENGINE_DRIVER_H

#include <stddef.h>

#include "binding/compat.h"
#include "engine/base/buf.h"

/* Pushes a copy of the string argument. */
char *engine_bytes(lua_State *L, int arg, size_t *len);

/* The same with a NUL behind it. */
char *engine_text(lua_State *L, int arg);

/* Pushes a new userdata of that class, all zero. */
void *engine_object(lua_State *L, size_t size, const char *class);

/* Makes a class; gc may be NULL. */
void engine_class(lua_State *L, const char *name, lua_CFunction gc,
                  const luaL_Reg *methods);

/* Pushes a buffer of at most max bytes. */
struct uq_buf *engine_buf(lua_State *L, size_t max);

/* Each adds its functions to the table on top of the stack. */
void engine_open_base(lua_State *L);
void engine_open_number(lua_State *L);
void engine_open_policy(lua_State *L);
void engine_open_http(lua_State *L);
void engine_open_event(lua_State *L);
void engine_open_heap(lua_State *L);

#endif
