/*
** address.c - see address.h.
** SPDX-License-Identifier: MIT
*/
#define _GNU_SOURCE /* strncasecmp */
#include "address.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Loopback by its literal name: what a resolver says is not believed. */
static bool is_loopback(const char *host) {
  unsigned a, b, c;
  int end = 0;
  if (strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0)
    return true;
  return sscanf(host, "127.%3u.%3u.%3u%n", &a, &b, &c, &end) == 3 &&
         host[end] == '\0' && a < 256 && b < 256 && c < 256;
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
  return strncasecmp(url, "https:", 6) == 0; /* schemes know no case */
}
