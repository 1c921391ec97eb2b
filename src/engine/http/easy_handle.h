/*
** easy_handle.h - the options of every easy handle: TLS, CA certificates,
** protocols, connections. The security of the transport is decided here and
** nowhere else. Knows no Lua.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_HTTP_EASY_HANDLE_H
#define UQ_HTTP_EASY_HANDLE_H

#include <curl/curl.h>
#include <stdbool.h>

#include "engine/http/transport_options.h"

/* Sets an option of a handle, or returns from a function of type CURLcode. */
#define UQ_SET(easy, option, value)                            \
  do {                                                         \
    CURLcode set_code = curl_easy_setopt(easy, option, value); \
    if (set_code != CURLE_OK)                                  \
      return set_code;                                         \
  } while (0)

#pragma GCC visibility push(hidden)

/* Sets a new handle up for the requests of a transport. Not CURLE_OK: it must
** not be used. */
CURLcode uq_easy_handle_setup(CURL *easy, const struct uq_transport_options *o);

/* True if this libcurl may use an idle connection again that was shut down.
** From 8.22 on it does not look at one that was in use within the last second;
** 7.88 takes any of HTTP/1.1 over TLS to be alive if the TLS library cannot
** tell: GnuTLS. */
bool uq_easy_handle_reuses_dead(void);

#pragma GCC visibility pop

#endif
