/*
** lock_file.h - locks between processes, and within one, on the bytes of a file
** that is there for nothing else and never removed. They never block, and end
** with their process; a fork's child has none of them. Knows no Lua and no
** curl.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_STORE_LOCK_FILE_H
#define UQ_STORE_LOCK_FILE_H

#include "engine/store/private_file.h"

#pragma GCC visibility push(hidden)

/* Locks a byte of the private file at path, which is made if need be. UQ_NOT:
** it is locked, by whomever; may be by this owner. */
enum uq_result uq_lock_file_acquire(const char *path, long byte,
                                    const void *owner, char *message);

/* Unlocks that byte, or all of them, of what the owner has locked. */
#define UQ_LOCK_FILE_ALL (-1L)
void uq_lock_file_release(long byte, const void *owner);

#pragma GCC visibility pop

#endif
