/*
** handle.h - how every easy handle is set: TLS, trust, protocols, connections.
** The security of the transport is decided here and nowhere else. Knows no
** Lua.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_HANDLE_H
#define UQ_HANDLE_H

#include <curl/curl.h>

#include "transport.h"

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
CURLcode uq_handle_setup(CURL *easy, const struct uq_transport_options *o);

#pragma GCC visibility pop

#endif
