/*
** fuzz.h - what the fuzz targets share. Each feeds arbitrary bytes to one part
** of the engine or the binding and holds the outcome against an oracle that is
** slow and was written apart from it, or against what must always be so.
** SPDX-License-Identifier: MIT
*/
#ifndef TORTURE_FUZZ_H
#define TORTURE_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                      \
  do {                                                                        \
    if (!(condition)) {                                                       \
      fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
      abort();                                                                \
    }                                                                         \
  } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

/* A copy in a block of its very length, and a NUL behind it if that is asked
** for. */
static inline char *fuzz_copy(const void *bytes, size_t len, bool nul) {
  char *copy = malloc(len + nul > 0 ? len + nul : 1);
  CHECK(copy != NULL);
  if (len > 0)
    memcpy(copy, bytes, len);
  if (nul)
    copy[len] = '\0';
  return copy;
}

#endif
