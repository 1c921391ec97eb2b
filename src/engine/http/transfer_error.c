/*
** transfer_error.c - see transfer_error.h.
** SPDX-License-Identifier: MIT
*/
#include "engine/http/transfer_error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/ascii.h"
#include "engine/base/error_kind.h"
#include "engine/http/curl_error.h"
#include "engine/http/liveness.h"
#include "engine/http/process.h"
#include "engine/http/response_headers.h"
#include "engine/http/transfer.h"
#include "engine/http/transport_options.h"
#include "engine/http/transport_state.h"
#include "engine/http/trust.h"

const char uq_body_too_large[] =
    "the response body is larger than max_response_bytes";

/* ------------------------------------------------------------------------ */
/* what libcurl reports, and what it leaves out                              */
/* ------------------------------------------------------------------------ */

/* The errno of a lack of descriptors, if the transfer failed because of one;
** else 0. libcurl does not report it. */
static int find_lack(const struct uq_transfer *x) {
  int error = x->socket_errno;
  switch (x->code) {
  case CURLE_COULDNT_CONNECT:
  case CURLE_ABORTED_BY_CALLBACK:
    return error == EMFILE || error == ENFILE ? error : 0;
  case CURLE_COULDNT_RESOLVE_HOST:
  case CURLE_COULDNT_RESOLVE_PROXY:
  case CURLE_FAILED_INIT:
  case CURLE_OUT_OF_MEMORY:
  case CURLE_SSL_CACERT_BADFILE:
  case CURLE_PEER_FAILED_VERIFICATION: /* its CA may be in a file */
    return x->received.bytes == 0 ? uq_process_lack() : 0;
  default:
    return 0;
  }
}

/* True if a lack of descriptors was the reason; then it is named. */
static bool name_lack(const struct uq_transfer *x, struct uq_response *r) {
  int error = find_lack(x);
  if (error == 0)
    return false;
  r->os_errno = error;
  if (r->kind == UQ_CONFIG || r->kind == UQ_MEMORY) {
    r->kind = UQ_CONNECT;
    r->outcome_unknown = true;
  }
  size_t len = strlen(r->message);
  snprintf(r->message + len, sizeof r->message - len, ": %s", strerror(error));
  return true;
}

/* True if the CA certificates were the reason; then the faulty ones are named.
 */
static bool name_trust(const struct uq_transfer *x, struct uq_response *r) {
  const struct uq_transport_options *o = &x->transport->options;
  const char *path, *name = "the system's CA certificates";
  int error;
  bool bad_file = x->code == CURLE_SSL_CACERT_BADFILE;
  if (!bad_file && x->code != CURLE_PEER_FAILED_VERIFICATION)
    return false;
  const char *fault = uq_trust_chosen_fault(o, &path, &error);
  if (fault == NULL && bad_file && path != NULL)
    fault = "no certificate in it that the TLS library takes";
  if (fault == NULL)
    return false;
  if (path == o->ca_file)
    name = "ca_file";
  else if (path == o->ca_path)
    name = "ca_path";
  r->kind = UQ_CONFIG;
  r->os_errno = error;
  snprintf(r->message, sizeof r->message, "%s: %s: %s", name, fault, path);
  return true;
}

/* What libcurl reports of a failed transfer, with the reason that it leaves
** out. */
static void describe_error(const struct uq_transfer *x, struct uq_response *r) {
  const char *message =
      x->error[0] != '\0' ? x->error : curl_easy_strerror(x->code);
  struct uq_curl_error e = uq_curl_error_of(x->code, message);
  long os_errno = x->start_errno;
  r->kind = e.kind;
  r->outcome_unknown = e.outcome_unknown;
  r->curl_code = (int)x->code;
  r->curl_name = e.name;
  if (x->started && e.has_errno) /* else it may be another transfer's */
    curl_easy_getinfo(x->easy, CURLINFO_OS_ERRNO, &os_errno);
  r->os_errno = (int)os_errno;
  snprintf(r->message, sizeof r->message, "%s", message);
  if (!x->started)
    return;
  if (uq_curl_error_proxy(x->easy, x->code, &r->outcome_unknown, r->message,
                          sizeof r->message))
    r->kind = UQ_CONNECT;
  else if (!name_lack(x, r) && !name_trust(x, r) && r->connects > 0 &&
           x->received.bytes == 0)
    snprintf(r->message, sizeof r->message, "%s%s", message,
             uq_curl_error_hint(x->code, !r->plain, message));
}

/* ------------------------------------------------------------------------ */
/* what libcurl reports wrongly: each gives the message, or NULL             */
/* ------------------------------------------------------------------------ */

/* The connection was lost: the request may have been carried out. */
static const char *set_lost(struct uq_response *r, const char *message) {
  r->kind = UQ_CONNECT;
  r->outcome_unknown = true;
  return message;
}

/* A success. libcurl 8 reads a status line with an odd version as 200, and ends
** without an error where the connection ends within the headers. */
static const char *correct_success(const struct uq_transfer *x,
                                   struct uq_response *r) {
  if (x->received.status != 0 && x->received.status != r->status) {
    r->kind = UQ_PROTOCOL;
    r->status = 0;
    return "the status line of the answer is malformed";
  }
  if (x->received.complete)
    return NULL;
  return set_lost(r, "the connection was closed within the response headers");
}

/* CURLE_FAILED_INIT after the request went out, or with this text: libcurl 7.88
** has given it a connection whose tunnel through a proxy was not open yet. */
static const char *correct_init(const struct uq_transfer *x,
                                struct uq_response *r) {
  bool sent = x->pending.sent != 0 && x->pending.reports_sent;
  if (!sent && strstr(x->error, "no filter connected") == NULL)
    return NULL;
  r->never_sent = x->pending.resends == 0; /* else an earlier one was sent */
  return set_lost(r, "the connection was not open yet");
}

/* Over HTTP/2 a request that waits for a connection is said to wait for the
** name. */
static const char *correct_timeout(const struct uq_transfer *x) {
  static const char resolving[] = "Failed to resolve";
  if (!x->pending.multiplexed ||
      strncmp(x->error, resolving, sizeof resolving - 1) != 0)
    return NULL;
  return "no connection came free within the timeout";
}

/* libcurl quotes the proxy's URL, with its password. */
static const char *correct_proxy(const struct uq_transfer *x,
                                 struct uq_response *r) {
  static const char unsupported[] = "Unsupported proxy";
  if (strncmp(x->error, unsupported, sizeof unsupported - 1) != 0)
    return NULL;
  r->kind = UQ_CONFIG;
  r->outcome_unknown = false;
  return "libcurl does not support the kind of proxy that the environment "
         "names";
}

/* The limits of libcurl's own. It has no code for a header line that is too
** long but the one for a lack of memory; 8.6 has one for all headers. */
static const char *correct_size(const struct uq_transfer *x,
                                struct uq_response *r) {
  if ((int)x->code == CURLE_FILESIZE_EXCEEDED) /* by its Content-Length */
    return uq_body_too_large;
  if (x->received.bytes == 0 || x->received.complete)
    return NULL; /* not within the headers */
  r->kind = UQ_TOO_LARGE;
  return (int)x->code == UQ_CURLE_TOO_LARGE
             ? "the response headers are too large"
             : "a response header line is too large";
}

static const char *correct_error(const struct uq_transfer *x,
                                 struct uq_response *r) {
  if (x->refused != UQ_OK) {
    r->kind = x->refused;
    return x->refused_why;
  }
  if (x->pending.exhausted)
    return set_lost(r,
                    "the request was refused, or its connection closed, before "
                    "an answer; and again when libcurl had sent it once more");
  switch ((int)x->code) {
  case CURLE_OK:
    return correct_success(x, r);
  case CURLE_FAILED_INIT:
    return correct_init(x, r);
  case CURLE_OPERATION_TIMEDOUT:
    return correct_timeout(x);
  case CURLE_FILESIZE_EXCEEDED:
  case CURLE_OUT_OF_MEMORY:
  case UQ_CURLE_TOO_LARGE:
    return correct_size(x, r);
  case CURLE_BAD_FUNCTION_ARGUMENT: /* the parser, of malformed trailers */
    if (x->received.bytes == 0)
      return NULL;
    r->kind = UQ_PROTOCOL;
    return "the answer is malformed";
  default:
    return correct_proxy(x, r);
  }
}

void uq_transfer_error(const struct uq_transfer *x, struct uq_response *r) {
  if (x->code != CURLE_OK)
    describe_error(x, r);
  const char *message = correct_error(x, r);
  if (message != NULL)
    snprintf(r->message, sizeof r->message, "%s", message);
}
