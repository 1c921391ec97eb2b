/*
** easy_handle.h - how every easy handle is set: TLS, trust, protocols,
*connections.
** The security of the transport is decided here and nowhere else. Knows no
** Lua.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_HTTP_EASY_HANDLE_H
#define UQ_HTTP_EASY_HANDLE_H

#include <curl/curl.h>

#include "engine/http/transport.h"

/* Sets an option of a handle, or returns from a function of type CURLcode. */
#define UQ_SET(easy, option, value)                            \
  do {                                                         \
    CURLcode set_code = curl_easy_setopt(easy, option, value); \
    if (set_code != CURLE_OK)                                  \
      return set_code;                                         \
  } while (0)

#pragma GCC visibility push(hidden)

/* Sets a new handle up for the requests of a transport. Anything but CURLE_OK:
** it must not be used. */
CURLcode uq_easy_handle_setup(CURL *easy, const struct uq_transport_options *o);

/* Does this libcurl speak HTTP/2? */
bool uq_easy_handle_two(void);

/* May this libcurl use an idle connection again that was shut down? From 8.22
** on it does not look at one that was in use within the last second; 7.88 takes
** any of HTTP/1.1 over TLS for alive if the TLS library cannot tell: GnuTLS. */
bool uq_easy_handle_reuses_dead(void);

/* Sets the HTTP version for the next request, unless that is *current. */
CURLcode uq_easy_handle_version(CURL *easy, enum uq_http_version *current,
                                enum uq_http_version wanted);

#pragma GCC visibility pop

#endif
