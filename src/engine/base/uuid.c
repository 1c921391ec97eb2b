/*
** uuid.c - see uuid.h.
** SPDX-License-Identifier: MIT
*/
#define _GNU_SOURCE /* getrandom */
#include "engine/base/uuid.h"

#include <errno.h>
#include <stdlib.h>

#if defined(__linux__)
#include <sys/random.h>
#endif

bool uq_random(void *bytes, size_t n) {
#if defined(__linux__)
  char *p = bytes;
  while (n > 0) {
    ssize_t got = getrandom(p, n, 0);
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0)
      return false;
    p += got;
    n -= (size_t)got;
  }
#else
  arc4random_buf(bytes, n);
#endif
  return true;
}

/* True for the positions of dashes in the 8-4-4-4-12 form. */
static bool is_dash(size_t i) {
  return i == 8 || i == 13 || i == 18 || i == 23;
}

bool uq_uuid_v4(char text[UQ_UUID_LEN + 1]) {
  static const char hex[] = "0123456789abcdef";
  unsigned char bytes[16];
  text[0] = '\0';
  if (!uq_random(bytes, sizeof bytes))
    return false;
  bytes[6] = (unsigned char)((bytes[6] & 0x0F) | 0x40); /* version 4 */
  bytes[8] = (unsigned char)((bytes[8] & 0x3F) | 0x80); /* RFC 9562 variant */
  for (size_t i = 0; i < sizeof bytes; i++) {
    if (i == 4 || i == 6 || i == 8 || i == 10)
      *text++ = '-';
    *text++ = hex[bytes[i] >> 4];
    *text++ = hex[bytes[i] & 0x0F];
  }
  *text = '\0';
  return true;
}

bool uq_uuid_valid(const char *text, size_t len) {
  if (len != UQ_UUID_LEN)
    return false;
  for (size_t i = 0; i < len; i++) {
    char c = text[i];
    bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') ||
               (c >= 'A' && c <= 'F');
    if (is_dash(i) ? c != '-' : !hex)
      return false;
  }
  return true;
}
