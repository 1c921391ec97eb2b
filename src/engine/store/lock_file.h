/*
** lock_file.h - non-blocking locks on the bytes of a file, between processes
** and within one. The file is used for locks only, and is never removed. A
** lock ends with its process; a forked child does not inherit it. Knows no Lua
** and no curl.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_STORE_LOCK_FILE_H
#define UQ_STORE_LOCK_FILE_H

#include "engine/store/private_file.h"

#pragma GCC visibility push(hidden)

enum uq_lock_status {
  UQ_LOCK_OK,
  UQ_LOCK_BUSY, /* held already, by any owner: locks are not reentrant */
  UQ_LOCK_ERROR /* the message says why */
};

/* Locks a byte of the private file at path, which is created if need be. The
** message has UQ_MESSAGE_SIZE bytes. */
enum uq_lock_status uq_lock_file_acquire(const char *path, long byte,
                                         const void *owner, char *message);

/* Unlocks the byte if the owner has locked it; UQ_LOCK_FILE_ALL: all bytes that
** it has locked. */
#define UQ_LOCK_FILE_ALL (-1L)
void uq_lock_file_release(long byte, const void *owner);

#pragma GCC visibility pop

#endif
