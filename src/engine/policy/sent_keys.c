/*
** sent_keys.c - see sent_keys.h.
** SPDX-License-Identifier: MIT
*/
#include "engine/policy/sent_keys.h"

#include <stddef.h>
#include <string.h>

#include "engine/base/ascii.h"

bool uq_sent_keys_have(const struct uq_sent_keys *s, const char *key) {
  for (size_t i = 0; i < UQ_SENT_KEYS; i++) {
    if (s->keys[i][0] != '\0' && uq_begins(key, strlen(key), s->keys[i]))
      return true;
  }
  return false;
}

void uq_sent_keys_add(struct uq_sent_keys *s, const char *key) {
  if (uq_sent_keys_have(s, key))
    return;
  for (size_t i = 0; i <= UQ_UUID_LEN; i++)
    s->keys[s->next][i] = uq_lower(key[i]);
  s->next = (s->next + 1) % UQ_SENT_KEYS;
}
