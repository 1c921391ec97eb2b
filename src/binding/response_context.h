/*
** response_context.h - what a response is decoded against: the request's
** endpoint and query, the call's options, and the secrets not to show.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_RESPONSE_CONTEXT_H
#define UQ_RESPONSE_CONTEXT_H

#include "engine/base/redact.h"

struct uq_buf;
struct uq_endpoint;

/* All of it must stay valid while the response is decoded, even if a finalizer
** closes the client in between. */
struct uq_response_context {
  const struct uq_endpoint *endpoint;
  const char *query;    /* "" or "?page_size=10&page_number=1..." */
  const char *currency; /* the one asked for; "": any */
  const char *ca_file;  /* file or folder, for messages; NULL: the default */
  int amounts;          /* enum uq_amounts */
  struct uq_secrets secrets;
  double now;             /* Unix seconds, for dates in Retry-After */
  struct uq_buf *scratch; /* for the JSON library's input */
  struct uq_buf *token;   /* of a login: empty, takes the token. Else NULL */
};

#endif
