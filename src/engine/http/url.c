/*
** url.c - see url.h.
** SPDX-License-Identifier: MIT
*/
#include "engine/http/url.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/ascii.h"

/* True for 127.0.0.0/8 in its plain form. Any other form ("127.0.0.08") may be
** given to a resolver. */
static bool is_loopback_v4(const char *host) {
  int parts = 0;
  for (const char *p = host;; p++) {
    size_t digits = strspn(p, "0123456789");
    long part = digits > 0 && digits <= 3 ? strtol(p, NULL, 10) : 256;
    if (part > 255 || (digits > 1 && *p == '0') || (parts == 0 && part != 127))
      return false;
    parts++;
    p += digits;
    if (*p != '.')
      return *p == '\0' && parts == 4;
  }
}

/* True for loopback by its literal name: a resolver is not trusted. */
static bool is_loopback(const char *host) {
  return strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
         is_loopback_v4(host);
}

const char uq_no_memory[] = "not enough memory";

/* A part of the URL, to be freed by curl_free, or NULL. Sets *no_memory if
** there was none for it. */
static char *get_part(CURLU *url, CURLUPart what, bool *no_memory) {
  char *text = NULL;
  if (curl_url_get(url, what, &text, 0) == CURLUE_OUT_OF_MEMORY)
    *no_memory = true;
  return text;
}

static const char *check_parts(CURLU *url, char *host, size_t size) {
  bool no_memory = false;
  char *scheme = get_part(url, CURLUPART_SCHEME, &no_memory);
  char *name = get_part(url, CURLUPART_HOST, &no_memory);
  char *port = get_part(url, CURLUPART_PORT, &no_memory);
  char *user = get_part(url, CURLUPART_USER, &no_memory);
  char *password = get_part(url, CURLUPART_PASSWORD, &no_memory);
  const char *why = NULL;
  if (no_memory)
    why = uq_no_memory;
  else if (scheme == NULL || name == NULL)
    why = "it has no host";
  else if (strcmp(scheme, "https") != 0 && strcmp(scheme, "http") != 0)
    why = "only https is supported";
  else if (strcmp(scheme, "http") == 0 && !is_loopback(name))
    why = "http:// is for loopback hosts only: use https://";
  else if (user != NULL || password != NULL)
    why = "it must not contain a user or password";
  else
    snprintf(host, size, "%s%s%s", name, port != NULL ? ":" : "",
             port != NULL ? port : "");
  curl_free(scheme);
  curl_free(name);
  curl_free(port);
  curl_free(user);
  curl_free(password);
  return why;
}

const char *uq_url_check(const char *url, char *host, size_t size) {
  if (!uq_is_visible(url, strlen(url)))
    return "it contains a blank, control or non-ASCII byte";
  const char *host_begins = strstr(url, "://");
  if (host_begins == NULL)
    return "it must begin with https://";
  if (host_begins[3] == '/') /* curl takes the next word as the host */
    return "it has no host";
  if (strpbrk(url, "?#") != NULL)
    return "it must not contain a query or fragment";
  CURLU *parsed = curl_url();
  if (parsed == NULL)
    return uq_no_memory;
  CURLUcode code = curl_url_set(parsed, CURLUPART_URL, url, 0);
  const char *why =
      code == CURLUE_OUT_OF_MEMORY ? uq_no_memory : "it is not a URL";
  if (code == CURLUE_OK)
    why = check_parts(parsed, host, size);
  curl_url_cleanup(parsed);
  return why;
}

bool uq_url_encrypted(const char *url) {
  return uq_begins(url, strlen(url), "https:"); /* of any case */
}

const char *uq_proxy_check(const char *url) {
  static const char *const schemes[] = {"http",    "https",  "socks4",
                                        "socks4a", "socks5", "socks5h"};
  const char *why = "the URL of an http, https or socks proxy expected";
  bool no_memory = false;
  CURLU *parsed = curl_url();
  if (parsed == NULL)
    return uq_no_memory;
  CURLUcode code = curl_url_set(parsed, CURLUPART_URL, url,
                                CURLU_GUESS_SCHEME | CURLU_NON_SUPPORT_SCHEME);
  char *scheme = get_part(parsed, CURLUPART_SCHEME, &no_memory);
  char *host = get_part(parsed, CURLUPART_HOST, &no_memory);
  if (no_memory || code == CURLUE_OUT_OF_MEMORY) {
    why = uq_no_memory;
  } else if (code == CURLUE_OK && scheme != NULL && host != NULL &&
             host[0] != '\0') {
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
      if (strcmp(scheme, schemes[i]) == 0)
        why = NULL;
    }
  }
  curl_free(scheme);
  curl_free(host);
  curl_url_cleanup(parsed);
  return why;
}
