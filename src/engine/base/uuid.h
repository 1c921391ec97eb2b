/*
** uuid.h - idempotency keys: UUIDs of version 4 from the system's random
** source, and a check for those that callers pass. Knows no Lua and
** no curl.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_BASE_UUID_H
#define UQ_BASE_UUID_H

#include <stdbool.h>
#include <stddef.h>

#pragma GCC visibility push(hidden)

#define UQ_UUID_LEN 36

/* Fills bytes from the system's random source. False: it failed. */
bool uq_random(void *bytes, size_t n);

/* Writes a new lower-case version 4 UUID and a NUL. False: the random source
** failed, and text is the empty string. */
bool uq_uuid_v4(char text[UQ_UUID_LEN + 1]);

/* True if this is a UUID in its 8-4-4-4-12 form, in either case, of any
** version. */
bool uq_uuid_valid(const char *text, size_t len);

#pragma GCC visibility pop

#endif
