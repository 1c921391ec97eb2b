/*
** unpreload.c - preloaded behind a sanitizer's library: takes LD_PRELOAD out of
** the environment again, so that the servers which the specs start are spared.
** SPDX-License-Identifier: MIT
*/
#define _GNU_SOURCE
#include <stdlib.h>

__attribute__((constructor)) static void unpreload(void) {
  unsetenv("LD_PRELOAD");
}
