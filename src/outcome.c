/*
** outcome.c - see outcome.h.
** SPDX-License-Identifier: MIT
*/
#include "outcome.h"

#include <string.h>

#include "ascii.h"

#define ROW(code, kind, lost) \
  { CURLE_##code, "CURLE_" #code, UQ_##kind, lost, false }

static const struct uq_outcome outcomes[] = {
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
    ROW(SSL_CACERT_BADFILE, TLS, false),
    ROW(SSL_SHUTDOWN_FAILED, TLS, false),
    ROW(SSL_CRL_BADFILE, TLS, false),
    ROW(SSL_ISSUER_ERROR, TLS, false),
    ROW(SSL_PINNEDPUBKEYNOTMATCH, TLS, false),
    ROW(SSL_INVALIDCERTSTATUS, TLS, false),
    ROW(HTTP2_STREAM, CONNECT, true),
    ROW(PROXY, CONNECT, true),
};

#undef ROW

/* A handshake that the peer or the network cut short is a lost connection;
** curl reports it under the same code as one that was refused. Its text, which
** differs by TLS library, is all that tells them apart. */
static bool handshake_cut(const char *text) {
  static const char *const signs[] = {
      "syscall",    "eof",           "reset",         "closed",
      "terminated", "pull function", "not connected", "broken pipe"};
  for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
    if (uq_contains(text, strlen(text), signs[i]))
      return true;
  }
  return false;
}

struct uq_outcome uq_outcome_of(CURLcode code, const char *text) {
  struct uq_outcome found = {code, "CURLE_other", UQ_PROTOCOL, false, false};
  for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; i++) {
    if (outcomes[i].code == code)
      found = outcomes[i];
  }
  found.has_errno = code == CURLE_COULDNT_CONNECT || code == CURLE_SEND_ERROR ||
                    code == CURLE_RECV_ERROR;
  if (code == CURLE_SSL_CONNECT_ERROR && handshake_cut(text)) {
    found.kind = UQ_CONNECT;
    found.lost = true;
  }
  return found;
}
