/*
** curl_error.c - see curl_error.h.
** SPDX-License-Identifier: MIT
*/
#include "engine/http/curl_error.h"

#include <stdio.h>
#include <string.h>

#include "engine/base/ascii.h"
#include "engine/http/transfer.h"

#define ROW(code, kind, unknown) \
  { CURLE_##code, "CURLE_" #code, UQ_##kind, unknown, false }

static const struct uq_curl_error errors[] = {
    ROW(UNSUPPORTED_PROTOCOL, PROTOCOL, false),
    ROW(FAILED_INIT, CONFIG, false),
    ROW(URL_MALFORMAT, CONFIG, false),
    ROW(NOT_BUILT_IN, CONFIG, false),
    ROW(COULDNT_RESOLVE_PROXY, DNS, true),
    ROW(COULDNT_RESOLVE_HOST, DNS, true),
    ROW(COULDNT_CONNECT, CONNECT, true),
    ROW(WEIRD_SERVER_REPLY, PROTOCOL, false),
    ROW(HTTP2, CONNECT, true),
    ROW(PARTIAL_FILE, CONNECT, true),
    ROW(WRITE_ERROR, PROTOCOL, false),
    ROW(OUT_OF_MEMORY, MEMORY, false),
    ROW(OPERATION_TIMEDOUT, TIMEOUT, true),
    ROW(SSL_CONNECT_ERROR, TLS, false),
    ROW(BAD_FUNCTION_ARGUMENT, CONFIG, false),
    ROW(INTERFACE_FAILED, CONNECT, false),
    ROW(UNKNOWN_OPTION, CONFIG, false),
    ROW(GOT_NOTHING, CONNECT, true),
    ROW(SSL_ENGINE_NOTFOUND, TLS, false),
    ROW(SSL_ENGINE_SETFAILED, TLS, false),
    ROW(SEND_ERROR, CONNECT, true),
    ROW(RECV_ERROR, CONNECT, true),
    ROW(SSL_CERTPROBLEM, TLS, false),
    ROW(SSL_CIPHER, TLS, false),
    ROW(PEER_FAILED_VERIFICATION, TLS, false),
    ROW(BAD_CONTENT_ENCODING, DECODE, false),
    ROW(FILESIZE_EXCEEDED, TOO_LARGE, false),
    ROW(USE_SSL_FAILED, TLS, false),
    ROW(SSL_CACERT_BADFILE, CONFIG, false),
    ROW(SSL_SHUTDOWN_FAILED, TLS, false),
    ROW(SSL_CRL_BADFILE, TLS, false),
    ROW(SSL_ISSUER_ERROR, TLS, false),
    ROW(SSL_PINNEDPUBKEYNOTMATCH, TLS, false),
    ROW(SSL_INVALIDCERTSTATUS, TLS, false),
    ROW(HTTP2_STREAM, CONNECT, true),
    ROW(PROXY, CONNECT, true),
    {(CURLcode)UQ_CURLE_TOO_LARGE, "CURLE_TOO_LARGE", UQ_TOO_LARGE, false,
     false},
};

#undef ROW

/* True if the peer or the network has cut a handshake short. curl has the same
** code for one that was refused: only its text, which differs by TLS library,
** tells them apart. */
static bool is_handshake_cut(const char *text) {
  static const char *const signs[] = {
      "syscall",    "eof",           "reset",         "closed",
      "terminated", "pull function", "not connected", "broken pipe"};
  for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
    if (uq_contains(text, strlen(text), signs[i]))
      return true;
  }
  return false;
}

struct uq_curl_error uq_curl_error_of(CURLcode code, const char *text) {
  struct uq_curl_error found = {code, "CURLE_other", UQ_PROTOCOL, false, false};
  for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
    if (errors[i].code == code)
      found = errors[i];
  }
  found.has_errno = code == CURLE_COULDNT_CONNECT || code == CURLE_SEND_ERROR ||
                    code == CURLE_RECV_ERROR;
  if (code == CURLE_SSL_CONNECT_ERROR && is_handshake_cut(text)) {
    found.kind = UQ_CONNECT;
    found.outcome_unknown = true;
  }
  return found;
}

/* True if a SOCKS proxy refuses for a reason that may go away. */
static bool is_temporary(CURLproxycode reason) {
  switch (reason) {
  case CURLPX_CLOSED:
  case CURLPX_RECV_ADDRESS:
  case CURLPX_RECV_AUTH:
  case CURLPX_RECV_CONNECT:
  case CURLPX_RECV_REQACK:
  case CURLPX_SEND_AUTH:
  case CURLPX_SEND_CONNECT:
  case CURLPX_SEND_REQUEST:
  case CURLPX_RESOLVE_HOST:
  case CURLPX_REPLY_CONNECTION_REFUSED:
  case CURLPX_REPLY_GENERAL_SERVER_FAILURE:
  case CURLPX_REPLY_HOST_UNREACHABLE:
  case CURLPX_REPLY_NETWORK_UNREACHABLE:
  case CURLPX_REPLY_TTL_EXPIRED:
  case CURLPX_REQUEST_FAILED: /* SOCKS 4 has no other code */
    return true;
  default:
    return false;
  }
}

bool uq_curl_error_proxy(CURL *easy, CURLcode code, bool *outcome_unknown,
                         char *text, size_t size) {
  long status = 0, reason = 0;
  curl_easy_getinfo(easy, CURLINFO_HTTP_CONNECTCODE, &status);
  if (status != 0 && status / 100 != 2) {
    *outcome_unknown = status >= 500;
    snprintf(text, size, "the proxy answered %ld to CONNECT%s", status,
             status == 407 ? " (its credentials belong in the option "
                             "proxy)"
                           : "");
    return true;
  }
  if (code != CURLE_PROXY)
    return false;
  curl_easy_getinfo(easy, CURLINFO_PROXY_ERROR, &reason);
  char said[CURL_ERROR_SIZE];
  snprintf(said, sizeof said, "%s", text);
  *outcome_unknown = is_temporary((CURLproxycode)reason);
  snprintf(text, size, "the proxy refused the connection: %s", said);
  return true;
}

/* True if the response was not TLS; the text differs by TLS library. */
static bool is_not_tls(const char *text) {
  static const char *const signs[] = {
      "wrong version number", "wrong_version_number", "unexpected tls packet"};
  for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
    if (uq_contains(text, strlen(text), signs[i]))
      return true;
  }
  return false;
}

const char uq_tls_expected[] =
    "; does the server expect TLS (https) at this port?";

const char *uq_curl_error_hint(CURLcode code, bool encrypted,
                               const char *text) {
  if (encrypted)
    return code == CURLE_SSL_CONNECT_ERROR && is_not_tls(text)
               ? "; the server does not speak TLS at this port: plain http?"
               : "";
  switch (code) {
  case CURLE_UNSUPPORTED_PROTOCOL:
  case CURLE_WEIRD_SERVER_REPLY:
  case CURLE_GOT_NOTHING:
  case CURLE_RECV_ERROR:
    return uq_tls_expected;
  default:
    return "";
  }
}
