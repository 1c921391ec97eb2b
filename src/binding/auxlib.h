/*
** auxlib.h - classes, arguments, user values: helpers for every class.
**
** Resource rules, which every file of the binding keeps:
** 1. A userdata is made closed, with its metatable, and then acquires. Every
**    release sets its field to NULL first; __gc, __close and close() are one
**    idempotent function; use after close raises one fixed message.
** 2. A C allocation may be live across a Lua API call only if a userdata on
**    the stack owns it: any Lua call may longjmp.
** 3. No Lua API below a libcurl callback. The engine fills C buffers; results
**    are pushed after curl has returned.
** 4. Close order: transfers, then the transport (handles, multi, poller).
** 5. A call keeps its client alive (by its user value); the client knows its
**    calls by an intrusive list. No light userdata, no globals, and no weak
**    table but the one that client:ready() finds call objects in.
** 6. Tokens and header memory are wiped before they are freed.
** 7. After a fork the child refuses with kind `forked` and abandons what it
**    inherited: it never writes on the parent's connections.
** 8. Any call of Lua that allocates may run a user's finalizer, which may use
**    the client, close it, or fork; so may hooks, the token function and
**    metamethods. What is used after such a call belongs to a userdata on the
**    stack only, or is looked at again.
**
** uqL_ functions touch a Lua state and may raise its memory error; what else
** they raise is said at each.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_AUXLIB_H
#define UQ_AUXLIB_H

#include "binding/compat.h"

#pragma GCC visibility push(hidden)

#if defined(__GNUC__)
#define UQ_EXPORT __attribute__((visibility("default")))
#else
#define UQ_EXPORT
#endif

#define UQ_VERSION "0.1.0"

/* Registers a class: its metatable, and methods behind __index. */
void uqL_class(lua_State *L, const char *name, const luaL_Reg *metamethods,
               const luaL_Reg *methods);

/* Pushes what a Lua module returns. */
void uqL_require(lua_State *L, const char *module);

/* The userdata of the class `name` at 1. Raises for any other value, and says
** how the method is called; example: a variable's name. */
void *uqL_self(lua_State *L, const char *name, const char *example);

/* Raises if the value at 1 is the module, as in uqpay:new{...}. arguments: how
** the message shows them, "{...}" there. */
void uqL_check_dot(lua_State *L, const char *function, const char *arguments);

/* "bad argument #<number> to '<function>' (<message>)". Unlike luaL_argerror it
** does not ask the debug library what the function was called. Raises; returns
** an int for `return`. */
int uqL_argument_error(lua_State *L, int number, const char *function,
                       const char *message);

/* Raises the same if the value at idx is not a table. */
void uqL_argument_table(lua_State *L, int idx, int number,
                        const char *function);

/* The length of the list at idx, the function's first argument, called name in
** messages. Raises if it has holes, keys of other kinds, or inherits elements.
*/
int uqL_check_list(lua_State *L, int idx, const char *function,
                   const char *name);

/* Sets a field of the table at the top to a count. */
void uqL_set_count(lua_State *L, const char *name, double value);

/* Where the user value of a client keeps its spare call and its login, or
** false. To change these fields allocates nothing. */
#define UQ_USER_VALUE_CACHED_CALL 1
#define UQ_USER_VALUE_LOGIN 2

/* Pushes the user value of the client, or of the client of the call, at idx. */
void uqL_client_user_value(lua_State *L, int idx);

#pragma GCC visibility pop

#endif
