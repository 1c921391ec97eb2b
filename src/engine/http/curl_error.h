/*
** curl_error.h - curl's result codes as kinds of errors. Knows no Lua.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_HTTP_CURL_ERROR_H
#define UQ_HTTP_CURL_ERROR_H

#include <curl/curl.h>
#include <stdbool.h>

#include "engine/base/error_kind.h"

#pragma GCC visibility push(hidden)

#define UQ_CURLE_TOO_LARGE 100 /* from libcurl 8.6 on */

struct uq_curl_error {
  CURLcode code;
  const char *name; /* "CURLE_..." */
  enum uq_kind kind;
  bool outcome_unknown; /* the request may have been carried out, or another try
                           may reach the server */
  bool has_errno;       /* curl notes the system's errno with it */
};

/* What the code of a failed transfer means; text is curl's message for it. */
struct uq_curl_error uq_curl_error_of(CURLcode code, const char *text);

/* True if the proxy refused. Then the text says so in place of curl's message,
** and *outcome_unknown is true if another try may succeed. */
bool uq_curl_error_proxy(CURL *easy, CURLcode code, bool *outcome_unknown,
                         char *text, size_t size);

/* What to add to the message of a transfer without any byte of a response: the
** port may expect http instead of https, or https instead of http. "": nothing.
*/
const char *uq_curl_error_hint(CURLcode code, bool encrypted, const char *text);

#pragma GCC visibility pop

#endif
