/*
** token.h - the access token that a client has.
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

/* How many bytes of a token are a "Bearer " in front? */
size_t uq_token_prefix(const char *text, size_t len);

/* What is wrong with a token; NULL: nothing. Never quotes it. */
const char *uq_token_check(const char *text, size_t len);

/* Checks a token and appends it to an empty buffer as "Bearer <token>". NULL:
** done; else what is wrong with it. */
const char *uq_token_take(struct uq_buf *token, const char *text, size_t len);

/* Puts a token in the place of the client's. end: its own in Unix seconds (or
** milliseconds), 0 if not told; assumed: the life to believe in then, or 0.
** NULL: done; else what is wrong with it. */
const char *uq_token_put(struct uq_client_token *t, const char *text, size_t len,
                         double end, double assumed);

/* Forgets the client's token, but for what it was. */
void uq_token_drop(struct uq_client_token *t);

/* The API has accepted the token of that number. */
void uq_token_accepted(struct uq_client_token *t, unsigned serial);

/* Is this the token that the client has, or that it has dropped last? */
bool uq_token_known(const struct uq_client_token *t, const char *text, size_t len);

/* Seconds that the client's token is good for: huge if it has no end, 0 if
** there is none. */
double uq_token_left(const struct uq_client_token *t);

/* Why the token function must be asked before a call: "new" (a token without an
** end is good for one call) or "expired"; NULL: it need not be. */
const char *uq_token_need(const struct uq_client_token *t);

/* Asks the token function, and puts what it gives in the place of the client's
** token. owner is the index of the client or of a call of it. False: pushes why
** there is no new token; the client may be closed now. */
bool uqL_token_ask(lua_State *L, int owner, struct uq_client *c,
                   const char *reason);

#pragma GCC visibility pop

#endif
