/*
** error.h - error tables.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_ERROR_H
#define UQ_ERROR_H

#include <stdbool.h>
#include <stddef.h>

#include "binding/compat.h"
#include "engine/base/error_kind.h"

#pragma GCC visibility push(hidden)

struct uq_secrets;

#define UQ_ERROR "uqpay.error" /* metatable */

/* Registers the class. */
void uqL_error_open(lua_State *L);

/* The kind of that name, as error tables have it; UQ_OK: there is none. */
enum uq_kind uq_kind_named(const char *name);

/* Pushes the table of kinds. */
void uqL_error_kinds(lua_State *L);

/* Replaces the message at the top by an error table of that kind. */
void uqL_error_new(lua_State *L, enum uq_kind kind);

/* The same for a call of which nothing was sent. */
void uqL_error_unsent(lua_State *L, enum uq_kind kind);

/* Appends to the message of the error table at the top. */
void uqL_error_append_message(lua_State *L, const char *text);

/* Sets a field of the error table at the top; "" and NULL are left out. */
void uqL_error_set_string(lua_State *L, const char *name, const char *value);

/* The same for a text from outside: see uqL_push_redacted. */
void uqL_error_set_redacted(lua_State *L, const char *name, const char *text,
                            const struct uq_secrets *secrets);

/* Raises an error for a lack of memory outside Lua. */
int uqL_no_memory(lua_State *L);

/* Puts nil below the message at the top: the results of a function that failed.
** Returns their number. */
int uqL_push_nil_message(lua_State *L);

/* Puts nil and the message below the error table at the top: the results of a
** failed call. Returns their number. */
int uqL_error_push_failure(lua_State *L);

#define UQ_SHOWN_MAX 2048 /* bytes of a text from outside */

/* Pushes text from outside as uq_redact shows it, cut to max bytes, at most
** UQ_SHOWN_MAX; line: in one line. Returns it. */
const char *uqL_push_redacted(lua_State *L, const char *text, size_t len,
                              size_t max, const struct uq_secrets *secrets,
                              bool line);

/* The same in one line for text of the user's own, which has no secrets. */
const char *uqL_push_shown(lua_State *L, const char *text, size_t len,
                           size_t max);

#pragma GCC visibility pop

#endif
