/*
** address.c - see address.h.
** SPDX-License-Identifier: MIT
*/
#include "address.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ascii.h"

/* Is this 127.0.0.0/8 in its one plain form? For any other, "127.0.0.08" for
** one, a resolver would be asked. */
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

/* Loopback by its literal name: what a resolver says is not believed. */
static bool is_loopback(const char *host) {
  return strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
         is_loopback_v4(host);
}

static bool has_part(CURLU *url, CURLUPart part) {
  char *text = NULL;
  bool has = curl_url_get(url, part, &text, 0) == CURLUE_OK;
  curl_free(text);
  return has;
}

static const char *check_parts(CURLU *url, char *host, size_t size) {
  char *scheme = NULL, *name = NULL, *port = NULL;
  const char *why = NULL;
  if (curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
      curl_url_get(url, CURLUPART_HOST, &name, 0) != CURLUE_OK)
    why = "it names no host";
  else if (strcmp(scheme, "https") != 0 && strcmp(scheme, "http") != 0)
    why = "only https is spoken";
  else if (strcmp(scheme, "http") == 0 && !is_loopback(name))
    why = "http:// is for loopback hosts alone, use https://";
  else if (has_part(url, CURLUPART_USER) || has_part(url, CURLUPART_PASSWORD))
    why = "it must bear no user or password";
  else if (curl_url_get(url, CURLUPART_PORT, &port, 0) == CURLUE_OK)
    snprintf(host, size, "%s:%s", name, port);
  else
    snprintf(host, size, "%s", name);
  curl_free(scheme);
  curl_free(name);
  curl_free(port);
  return why;
}

const char *uq_address_check(const char *url, char *host, size_t size) {
  for (const char *p = url; *p != '\0'; p++) {
    if (*p <= ' ' || *p >= 0x7F)
      return "a blank, control or non-ASCII byte is in it";
  }
  const char *host_begins = strstr(url, "://");
  if (host_begins == NULL)
    return "it must begin with https://";
  if (host_begins[3] == '/') /* curl would take the next word for the host */
    return "it names no host";
  if (strpbrk(url, "?#") != NULL)
    return "it must bear no query or fragment";
  CURLU *parsed = curl_url();
  if (parsed == NULL)
    return "out of memory";
  const char *why = "it is no URL";
  if (curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK)
    why = check_parts(parsed, host, size);
  curl_url_cleanup(parsed);
  return why;
}

bool uq_address_encrypted(const char *url) {
  return uq_begins(url, strlen(url), "https:"); /* schemes know no case */
}

const char *uq_proxy_check(const char *url) {
  static const char *const schemes[] = {"http",    "https",  "socks4",
                                        "socks4a", "socks5", "socks5h"};
  const char *why = "the URL of an http, https or socks proxy expected";
  char *scheme = NULL, *host = NULL;
  CURLU *parsed = curl_url();
  if (parsed == NULL)
    return "out of memory";
  if (curl_url_set(parsed, CURLUPART_URL, url,
                   CURLU_GUESS_SCHEME | CURLU_NON_SUPPORT_SCHEME) ==
          CURLUE_OK &&
      curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
      curl_url_get(parsed, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
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
