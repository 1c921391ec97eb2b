/*
** token_file.h - access tokens in a file that processes share. Knows no Lua and
*no
** curl.
**
** The file is text: a first line that says what it is, and a line for each
** key, which is "<end> TAB <token> TAB <key>" with the end in Unix seconds, 0
** if it is not known. It is only ever replaced as a whole. Beside it stands a
** file for locks, with the suffix ".lock".
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_STORE_TOKEN_FILE_H
#define UQ_STORE_TOKEN_FILE_H

#include <stddef.h>

#include "engine/store/private_file.h"

#pragma GCC visibility push(hidden)

#define UQ_TOKEN_FILE_KEY_MAX 2048   /* bytes: a client has up to 1537 */
#define UQ_TOKEN_FILE_TOKEN_MAX 8192 /* bytes */
#define UQ_TOKEN_FILE_END_MAX 1e15   /* Unix seconds, not reached */

/* The store as one use of it sees it. */
struct uq_token_file {
  const char *path;
  const void *owner;             /* of locks: an address of the store's own */
  char message[UQ_MESSAGE_SIZE]; /* set with UQ_FAILED */
};

/* All is borrowed. */
struct uq_stored_token {
  const char *key, *token; /* token NULL: none */
  size_t key_len, token_len;
  double end; /* Unix seconds, kept without a fraction; 0: not told */
};

/* Can this be a key or token of at most max bytes? Blanks are fine, control
** bytes are not. */
bool uq_token_file_takes(const char *text, size_t len, size_t max);

/* Looks up entry->key and sets the rest, with the token in a buffer of
** UQ_TOKEN_FILE_TOKEN_MAX bytes, which the caller wipes. UQ_NOT: there is none.
 */
enum uq_result uq_token_file_get(struct uq_token_file *s,
                                 struct uq_stored_token *entry, char *token);

/* Puts the entry in the place of the one with its key, and drops others whose
** end is past. It needs no lock of the caller's; writers wait for each other.
** When it fails the file is as it was. Never UQ_NOT. */
enum uq_result uq_token_file_set(struct uq_token_file *s,
                                 const struct uq_stored_token *entry);

/* Locks a key. UQ_NOT: it is locked, by whomever. Keys that hash to the same
** byte of the lock file share a lock. */
enum uq_result uq_token_file_lock(struct uq_token_file *s, const char *key,
                                  size_t len);
void uq_token_file_unlock(const struct uq_token_file *s, const char *key,
                          size_t len);

/* Unlocks all that the owner has locked. */
void uq_token_file_unlock_all(const struct uq_token_file *s);

#pragma GCC visibility pop

#endif
