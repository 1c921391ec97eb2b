/*
** token.h - the access token that a client has: its form, its end, and the
** user's function that gives it. See login.h for the login.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_TOKEN_H
#define UQ_TOKEN_H

#include <stdbool.h>
#include <stddef.h>

#include "binding/compat.h"

#pragma GCC visibility push(hidden)

struct uq_buf;
struct uq_client;
struct uq_client_token;

/* The bytes of the "Bearer " in front of a token; 0: it has none. */
size_t uq_token_prefix(const char *text, size_t len);

/* What is wrong with a token; NULL: nothing. Never quotes it. */
const char *uq_token_check(const char *text, size_t len);

/* Checks a token and appends it to an empty buffer as "Bearer <token>". NULL:
** done; else what is wrong with it. */
const char *uq_token_take(struct uq_buf *token, const char *text, size_t len);

/* Puts a token in the place of the client's. end: its own in Unix seconds (or
** milliseconds), 0 if not known; assumed: the life to assume then, or 0.
** NULL: done; else what is wrong with it. */
const char *uq_token_put(struct uq_client *c, const char *text, size_t len,
                         double end, double assumed);

/* Drops the client's token. It is kept as the one that was refused last. */
void uq_token_drop(struct uq_client_token *t);

/* The API has accepted the token of that number. */
void uq_token_accepted(struct uq_client_token *t, unsigned serial);

/* True if this is the token that the client has, or has dropped last. */
bool uq_token_known(const struct uq_client_token *t, const char *text,
                    size_t len);

/* Seconds that the client's token is good for: HUGE_VAL if it has no
** end, 0 if it has no token. */
double uq_token_left(const struct uq_client *c);

/* Why the token function must be asked before a call: "new" (a token without an
** end is good for one call) or "expired"; NULL: it is not needed. */
const char *uq_token_need(const struct uq_client *c);

/* Calls the token function, and replaces the client's token by its result. idx
** is the index of the client or of one of its calls. False: pushes why there is
** no new token. The client may be closed afterwards. */
bool uqL_token_ask(lua_State *L, int idx, struct uq_client *c,
                   const char *reason);

#pragma GCC visibility pop

#endif
