/*
** url.h - which servers and proxies a client may use. Knows no Lua.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_HTTP_URL_H
#define UQ_HTTP_URL_H

#include <stdbool.h>
#include <stddef.h>

#pragma GCC visibility push(hidden)

/* The result of a check that had no memory. */
extern const char uq_no_memory[];

/*
** NULL if requests may go to this URL, else why not. https may go anywhere,
** http to loopback only; there must be no user, query or fragment. Fills host:
** "name" or "name:port", cut to size.
*/
const char *uq_url_check(const char *url, char *host, size_t size);

/* True if a URL that has passed the check is an https one. */
bool uq_url_encrypted(const char *url);

/* NULL if libcurl knows this kind of proxy, else what is expected. That quotes
** nothing of the URL, which may have a password. */
const char *uq_proxy_check(const char *url);

#pragma GCC visibility pop

#endif
