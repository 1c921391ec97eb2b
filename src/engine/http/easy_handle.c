/*
** easy_handle.c - see easy_handle.h.
** SPDX-License-Identifier: MIT
*/
#include "engine/http/easy_handle.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "engine/http/trust.h"

#define MAX_IDLE_SECONDS 50        /* below the usual 60 of load balancers */
#define MAX_CONNECTION_SECONDS 600 /* then the certificate is checked again */

static CURLcode set_trust(CURL *easy, const struct uq_transport_options *o) {
  struct uq_trust t = uq_trust_choose(o);
  if (t.is_default)
    return CURLE_OK;
  CURLcode code = curl_easy_setopt(easy, CURLOPT_CAINFO, t.file);
  if (code == CURLE_OK)
    code = curl_easy_setopt(easy, CURLOPT_CAPATH, t.path);
  if (code == CURLE_NOT_BUILT_IN && t.path == NULL)
    code = CURLE_OK; /* a TLS library without CA directories */
  return code;
}

/* True if the environment names a proxy for https. (http goes to loopback only,
** and never through a proxy.) */
static bool has_proxy_variable(void) {
  static const char *const names[] = {"https_proxy", "HTTPS_PROXY", "all_proxy",
                                      "ALL_PROXY"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    const char *value = getenv(names[i]);
    if (value != NULL && value[0] != '\0')
      return true;
  }
  return false;
}

static int on_new_socket(void *unused, curl_socket_t fd, curlsocktype type) {
  (void)unused;
  (void)type;
  (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
  return CURL_SOCKOPT_OK;
}

/* For options that this libcurl may lack, and that are not needed. */
#define TRY(option, value) (void)curl_easy_setopt(easy, option, value)

/* By number: the headers may be older than the libcurl. */
#define MAXLIFETIME_CONN ((CURLoption)(CURLOPTTYPE_LONG + 314)) /* 7.80 */
#define QUICK_EXIT ((CURLoption)(CURLOPTTYPE_LONG + 322))       /* 7.87 */

CURLcode uq_easy_handle_setup(CURL *easy,
                              const struct uq_transport_options *o) {
  UQ_SET(easy, CURLOPT_SOCKOPTFUNCTION, on_new_socket);
  UQ_SET(easy, CURLOPT_NOSIGNAL, 1L);
  UQ_SET(easy, CURLOPT_FOLLOWLOCATION,
         0L); /* our secrets would be sent along */
#if LIBCURL_VERSION_NUM >= 0x075500
  TRY(CURLOPT_PROTOCOLS_STR, "https,http"); /* url.h checks it, too */
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
  const char *proxy = o->proxy;
  if (proxy == NULL && !has_proxy_variable())
    proxy = ""; /* libcurl would look for one before each request */
  if (proxy != NULL)
    UQ_SET(easy, CURLOPT_PROXY, proxy);
  if (proxy != NULL) /* NO_PROXY is for the environment's only */
    UQ_SET(easy, CURLOPT_NOPROXY, proxy[0] == '\0' ? "*" : "");
  TRY(CURLOPT_MAXAGE_CONN, (long)MAX_IDLE_SECONDS);
  TRY(MAXLIFETIME_CONN, (long)MAX_CONNECTION_SECONDS);
  TRY(QUICK_EXIT, 1L); /* never wait for a resolver thread */
  return CURLE_OK;
}

bool uq_easy_handle_reuses_dead(void) {
  static const char openssl[] = "OpenSSL/";
  const curl_version_info_data *v = curl_version_info(CURLVERSION_NOW);
  if (v->version_num >= 0x081600) /* 8.22 */
    return true;
  return v->version_num >> 8 == 0x0758 && /* 7.88 */
         v->ssl_version != NULL &&
         strncmp(v->ssl_version, openssl, sizeof openssl - 1) != 0;
}
