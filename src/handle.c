/*
** handle.c - see handle.h.
** SPDX-License-Identifier: MIT
*/
#include "handle.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>

#define MAX_IDLE_SECONDS 50        /* before the usual 60 of balancers */
#define MAX_CONNECTION_SECONDS 600 /* then the certificate is checked anew */

/* Does the directory hold certificates under their hashes, as OpenSSL's rehash
** leaves them ("5ed36f99.0")? */
static bool is_hashed_dir(const char *path) {
  DIR *dir = opendir(path);
  bool found = false;
  struct dirent *entry;
  if (dir == NULL)
    return false;
  while (!found && (entry = readdir(dir)) != NULL)
    found = strlen(entry->d_name) == 10 && entry->d_name[8] == '.' &&
            strspn(entry->d_name, "0123456789abcdef") == 8;
  closedir(dir);
  return found;
}

/*
** Which authorities are trusted: those of the options alone; else libcurl's
** default, but only one of its two places. With both, OpenSSL reads the whole
** bundle at every new connection, some 30 ms of CPU; the hashed directory alone
** costs next to nothing.
*/
static CURLcode set_trust(CURL *easy, const struct uq_transport_options *o) {
  const char *file = o->ca_file, *path = o->ca_path;
  if (file == NULL && path == NULL) {
    const curl_version_info_data *v = curl_version_info(CURLVERSION_NOW);
    if (v->age < CURLVERSION_SEVENTH || v->ssl_version == NULL ||
        strstr(v->ssl_version, "OpenSSL") == NULL || v->capath == NULL ||
        v->cainfo == NULL)
      return CURLE_OK;
    if (is_hashed_dir(v->capath))
      path = v->capath;
    else
      file = v->cainfo;
  }
  CURLcode code = curl_easy_setopt(easy, CURLOPT_CAINFO, file);
  if (code == CURLE_OK)
    code = curl_easy_setopt(easy, CURLOPT_CAPATH, path);
  if (code == CURLE_NOT_BUILT_IN && path == NULL)
    code = CURLE_OK; /* a TLS library that knows no directories */
  return code;
}

static int on_new_socket(void *unused, curl_socket_t fd, curlsocktype type) {
  (void)unused;
  (void)type;
  (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
  return CURL_SOCKOPT_OK;
}

/* For options that only make things better where this libcurl has them. */
#define TRY(option, value) (void)curl_easy_setopt(easy, option, value)

CURLcode uq_handle_setup(CURL *easy, const struct uq_transport_options *o) {
  UQ_SET(easy, CURLOPT_SOCKOPTFUNCTION, on_new_socket);
  UQ_SET(easy, CURLOPT_NOSIGNAL, 1L);
  UQ_SET(easy, CURLOPT_POST, 1L);
  UQ_SET(easy, CURLOPT_USERAGENT, o->user_agent);
  UQ_SET(easy, CURLOPT_FOLLOWLOCATION, 0L); /* our headers would follow */
#if LIBCURL_VERSION_NUM >= 0x075500
  TRY(CURLOPT_PROTOCOLS_STR, "https,http"); /* address.h sees to it already */
#else
  UQ_SET(easy, CURLOPT_PROTOCOLS, CURLPROTO_HTTPS | CURLPROTO_HTTP);
#endif
  UQ_SET(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
  UQ_SET(easy, CURLOPT_HTTP09_ALLOWED, 0L);
  TRY(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
  TRY(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  UQ_SET(easy, CURLOPT_SSL_VERIFYPEER, 1L);
  UQ_SET(easy, CURLOPT_SSL_VERIFYHOST, 2L);
  UQ_SET(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
  CURLcode code = set_trust(easy, o);
  if (code != CURLE_OK)
    return code;
  if (o->pinned_public_key != NULL)
    UQ_SET(easy, CURLOPT_PINNEDPUBLICKEY, o->pinned_public_key);
  if (o->proxy != NULL)
    UQ_SET(easy, CURLOPT_PROXY, o->proxy);
  if (o->http_version == UQ_HTTP_2)
    UQ_SET(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
  else /* a lone call costs a third less over 1.1 */
    UQ_SET(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
  TRY(CURLOPT_MAXAGE_CONN, (long)MAX_IDLE_SECONDS);
#if LIBCURL_VERSION_NUM >= 0x075000
  TRY(CURLOPT_MAXLIFETIME_CONN, (long)MAX_CONNECTION_SECONDS);
#endif
#if LIBCURL_VERSION_NUM >= 0x075700
  TRY(CURLOPT_QUICK_EXIT, 1L); /* never wait for a resolver thread */
#endif
  return CURLE_OK;
}
