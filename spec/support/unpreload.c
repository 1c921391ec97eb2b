/*
** unpreload.c - preloaded behind a sanitizer's library: takes LD_PRELOAD out of
** the environment again, so that the servers which the specs start are spared;
** and keeps libraries mapped, so that a leak of theirs has a name.
** SPDX-License-Identifier: MIT
*/
#define _GNU_SOURCE
#include <stdlib.h>

__attribute__((constructor)) static void unpreload(void) {
  unsetenv("LD_PRELOAD");
}

int dlclose(void *library);

int dlclose(void *library) {
  (void)library;
  return 0;
}
