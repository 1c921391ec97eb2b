/*
** unpreload.c - preloaded after a sanitizer's library: removes LD_PRELOAD from
** the environment, so that servers which the specs start run without it; and
** keeps libraries mapped, so that reports of their leaks have symbols.
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
