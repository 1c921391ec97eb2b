/*
** url.h - where requests may go to. Knows no Lua.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_HTTP_URL_H
#define UQ_HTTP_URL_H

#include <stdbool.h>
#include <stddef.h>

#pragma GCC visibility push(hidden)

/* What the checks say when they could not check for want of memory. */
extern const char uq_no_memory[];

/*
** Is this an address that requests may go to? https to anywhere, http to
** loopback alone; no user, query or fragment. Fills host ("name" or
** "name:port", cut to size). NULL: yes; else why not.
*/
const char *uq_url_check(const char *url, char *host, size_t size);

/* Is an address that passed the check an encrypted one? */
bool uq_url_encrypted(const char *url);

/* Is this a proxy that libcurl knows? NULL: yes; else what is expected, without
** a word of the URL: it may bear a password. */
const char *uq_proxy_check(const char *url);

#pragma GCC visibility pop

#endif
