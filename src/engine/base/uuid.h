/*
** uuid.h - idempotency keys: UUIDs of version 4 from the system's random
** source, and the form check for those that a caller brings. Knows no Lua and
** no curl.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_BASE_UUID_H
#define UQ_BASE_UUID_H

#include <stdbool.h>
#include <stddef.h>

#pragma GCC visibility push(hidden)

#define UQ_UUID_LEN 36

/* Fills bytes from the system's random source. False: it gave none. */
bool uq_random(void *bytes, size_t n);

/* Writes a fresh lower-case version 4 UUID and its NUL. False: no randomness,
** and text is then the empty string. */
bool uq_uuid_v4(char text[UQ_UUID_LEN + 1]);

/* Is this a UUID in its 8-4-4-4-12 form, in either case, of any version? */
bool uq_uuid_valid(const char *text, size_t len);

#pragma GCC visibility pop

#endif
