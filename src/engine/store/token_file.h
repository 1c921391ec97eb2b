/*
** token_file.h - access tokens in a file that processes share. Knows no Lua
** and no curl.
**
** The file is text: a header line, and for each key a line "<end> TAB <token>
** TAB <key>" with the end in Unix seconds, 0 if it is unknown. It is always
** replaced as a whole. A second file, with the suffix ".lock", serves for
** locks.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_STORE_TOKEN_FILE_H
#define UQ_STORE_TOKEN_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/store/lock_file.h"
#include "engine/store/private_file.h"

#pragma GCC visibility push(hidden)

#define UQ_TOKEN_FILE_KEY_MAX 2048   /* bytes: a client has up to 1537 */
#define UQ_TOKEN_FILE_TOKEN_MAX 8192 /* bytes */
#define UQ_TOKEN_FILE_END_MAX 1e15   /* Unix seconds, not reached */

enum uq_store_status {
  UQ_STORE_OK,
  UQ_STORE_ABSENT, /* no token for the key */
  UQ_STORE_ERROR   /* the message says why */
};

/* The arguments of each operation. */
struct uq_token_file {
  const char *path;
  const void *owner;             /* of locks: an address, for identity only */
  char message[UQ_MESSAGE_SIZE]; /* set with UQ_STORE_ERROR, UQ_LOCK_ERROR */
};

/* The pointers are borrowed. */
struct uq_stored_token {
  const char *key, *token; /* token NULL: none */
  size_t key_len, token_len;
  double end; /* Unix seconds, stored without a fraction; 0: unknown */
};

/* True if this can be a key or token of at most max bytes: not empty, without
** control bytes. */
bool uq_token_file_takes(const char *text, size_t len, size_t max);

/* Looks up entry->key and sets the other members. The token is copied to a
** buffer of UQ_TOKEN_FILE_TOKEN_MAX bytes, which the caller wipes. */
enum uq_store_status uq_token_file_get(struct uq_token_file *s,
                                       struct uq_stored_token *entry,
                                       char *token);

/* Stores the entry in place of the one with its key, and drops expired ones.
** The caller needs no lock; writers wait for each other. On an error the file
** is unchanged. Never UQ_STORE_ABSENT. */
enum uq_store_status uq_token_file_set(struct uq_token_file *s,
                                       const struct uq_stored_token *entry);

/* Locks a key. Keys that hash to the same byte of the lock file share a
** lock. */
enum uq_lock_status uq_token_file_lock(struct uq_token_file *s, const char *key,
                                       size_t len);
void uq_token_file_unlock(const struct uq_token_file *s, const char *key,
                          size_t len);

/* Unlocks all that the owner has locked. */
void uq_token_file_unlock_all(const struct uq_token_file *s);

#pragma GCC visibility pop

#endif
