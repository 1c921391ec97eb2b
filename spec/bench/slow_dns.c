/*
** slow_dns.c - a name server that never answers, for `make bench-openresty`:
** preloaded, it lets the look-up of names in .invalid take half a minute.
** SPDX-License-Identifier: MIT
*/
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>

typedef int look_up(const char *, const char *, const struct addrinfo *,
                    struct addrinfo **);

int getaddrinfo(const char *node, const char *service,
                const struct addrinfo *hints, struct addrinfo **result) {
  look_up *real;
  *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
  if (node != NULL && strstr(node, ".invalid") != NULL) {
    sleep(30);
    return EAI_AGAIN;
  }
  return real(node, service, hints, result);
}
