/*
** token_store.h - the user's token store.
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
  UQ_TOKEN_STORE_LOGIN, /* none: log in; the store is locked if it can be */
  UQ_TOKEN_STORE_BUSY,  /* somebody else is logging in: ask again */
  UQ_TOKEN_STORE_FAILED /* pushes why */
};

/* Looks into the client's token store, and locks it for a login. FOUND: pushes
** the token and its end. peer is the index of the client's peer table. The
** client may be closed afterwards. */
enum uq_token_store_state uqL_token_store_begin(lua_State *L,
                                                struct uq_client *c, int peer);

/* Gives the lock back, if it is held. */
void uqL_token_store_end(lua_State *L, struct uq_client *c, int peer);

/* Puts a token, the client's, into the store. */
void uqL_token_store_put(lua_State *L, struct uq_client *c, int peer,
                         const char *token, size_t len);

/* Asks for a turn of those that several processes share, for the call at idx.
** True: it comes in so many seconds; false: that would be more than are left.
** The client may be closed afterwards. */
bool uqL_token_store_turn(lua_State *L, struct uq_client *c, int idx,
                          double left, double *wait);

/* Seconds that are left of a pause that some process has told, for the call at
** idx; 0: there is none. The client may be closed afterwards. */
double uqL_token_store_pause(lua_State *L, struct uq_client *c, int idx);

/* The call at idx tells the other processes to pause for so many seconds. The
** client may be closed afterwards. */
void uqL_token_store_hold(lua_State *L, struct uq_client *c, int idx,
                          double pause);

#define UQ_TOKEN_STORE_RETRY 0.05 /* seconds between two tries for the lock */

#pragma GCC visibility pop

#endif
