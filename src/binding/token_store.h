/*
** token_store.h - the user's token store: several processes share one token,
** since on some business lines a new token ends the one before. It is read
** before a login, locked during one, and written after it.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_TOKEN_STORE_H
#define UQ_TOKEN_STORE_H

#include <stdbool.h>
#include <stddef.h>

#include "binding/compat.h"

#pragma GCC visibility push(hidden)

struct uq_client;

enum uq_token_store_state {
  UQ_TOKEN_STORE_FOUND, /* a token */
  UQ_TOKEN_STORE_LOGIN, /* no token: log in; the store is locked if it has a
                           lock */
  UQ_TOKEN_STORE_BUSY,  /* another process has the lock: try again */
  UQ_TOKEN_STORE_FAILED /* pushes why */
};

/* Looks into the client's token store, and locks it for a login. FOUND: pushes
** the token and its end. uv is the index of the client's user value.
** The client may be closed afterwards. */
enum uq_token_store_state uqL_token_store_begin(lua_State *L,
                                                struct uq_client *c, int uv);

/* Gives the lock back, if it is held. */
void uqL_token_store_end(lua_State *L, struct uq_client *c, int uv);

/* Puts the client's token into the store. */
void uqL_token_store_put(lua_State *L, struct uq_client *c, int uv,
                         const char *token, size_t len);

#define UQ_TOKEN_STORE_RETRY 0.05 /* seconds between two tries for the lock */

#pragma GCC visibility pop

#endif
