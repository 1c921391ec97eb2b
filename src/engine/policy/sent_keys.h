/*
** sent_keys.h - the callers' own idempotency keys that a client sent last.
** Knows no Lua and no curl.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_POLICY_SENT_KEYS_H
#define UQ_POLICY_SENT_KEYS_H

#include <stdbool.h>

#include "engine/base/uuid.h"

#pragma GCC visibility push(hidden)

#define UQ_SENT_KEYS 32

/* All zero: empty. */
struct uq_sent_keys {
  char keys[UQ_SENT_KEYS][UQ_UUID_LEN + 1]; /* in lower case, a ring */
  unsigned next;
};

/* True if the key, in either case, is among the last ones. */
bool uq_sent_keys_have(const struct uq_sent_keys *s, const char *key);

/* Adds a key, unless it is among the last ones. */
void uq_sent_keys_add(struct uq_sent_keys *s, const char *key);

#pragma GCC visibility pop

#endif
