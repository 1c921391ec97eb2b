/*
** response_error.c - see response_error.h.
** SPDX-License-Identifier: MIT
*/
#include "binding/response_error.h"

#include <string.h>

#include "binding/error.h"
#include "binding/response_context.h"
#include "engine/api/endpoint.h"
#include "engine/base/ascii.h"
#include "engine/base/buf.h"
#include "engine/http/response_headers.h"
#include "engine/http/transfer.h"
#include "engine/policy/retry.h"

/* Bytes shown in messages. */
#define MAX_MESSAGE 512 /* of the transport's message */
#define MAX_ENCODING 40 /* of a Content-Encoding */

/* ------------------------------------------------------------------------ */
/* error tables                                                              */
/* ------------------------------------------------------------------------ */

/* Sets what every error table of an answered attempt has. At the top: the
** table. */
static void set_response_fields(lua_State *L,
                                const struct uq_response_context *context,
                                const struct uq_response *response) {
  const struct uq_buf *body = &response->body;
  lua_pushinteger(L, response->status);
  lua_setfield(L, -2, "status");
  uqL_error_set_redacted(L, "request_id", response->received.request_id,
                         &context->secrets);
  bool secret = context->endpoint->login; /* a token may be in it */
  if (body->len > 0 && !secret) {
    uqL_push_redacted(L, body->data, body->len, UQ_SHOWN_MAX, &context->secrets,
                      false);
    lua_setfield(L, -2, "body");
  }
}

bool uqL_response_error(lua_State *L, const struct uq_response_context *context,
                        const struct uq_response *response, enum uq_kind kind) {
  uqL_error_new(L, kind);
  set_response_fields(L, context, response);
  return false;
}

bool uqL_response_error_missing(lua_State *L,
                                const struct uq_response_context *context,
                                const struct uq_response *response,
                                struct uq_failure *failure) {
  const char *ca = context->ca_file;
  uqL_push_redacted(L, response->message, strlen(response->message),
                    MAX_MESSAGE, &context->secrets, true);
  uqL_error_new(L, response->kind);
  if (response->kind == UQ_TLS && response->curl_code != 0) {
    uqL_error_append_message(L, "; CA certificates in use: ");
    uqL_error_append_message(L, ca != NULL ? ca : "the system's");
    uqL_error_append_message(L, " (options ca_file and ca_path)");
  }
  if (response->status != 0)
    set_response_fields(L, context, response);
  if (response->curl_code != 0) {
    lua_pushinteger(L, response->curl_code);
    lua_setfield(L, -2, "curl_code");
    uqL_error_set_string(L, "curl_name", response->curl_name);
  }
  if (response->os_errno != 0) {
    lua_pushinteger(L, response->os_errno);
    lua_setfield(L, -2, "os_errno");
  }
  failure->outcome_unknown = response->outcome_unknown;
  failure->never_sent = response->never_sent;
  return false;
}

/* ------------------------------------------------------------------------ */
/* bodies that are not JSON                                                  */
/* ------------------------------------------------------------------------ */

static bool begins_with(const struct uq_buf *body, const char *bytes) {
  size_t len = strlen(bytes);
  return body->len >= len && memcmp(body->data, bytes, len) == 0;
}

/* True if the body begins with the byte order mark of UTF-8 or UTF-16. */
static bool has_byte_order_mark(const struct uq_buf *body) {
  return begins_with(body, "\xef\xbb\xbf") || begins_with(body, "\xfe\xff") ||
         begins_with(body, "\xff\xfe");
}

/* True if the body says that the port expects TLS. */
static bool wants_tls(const struct uq_response *response) {
  const struct uq_buf *body = &response->body;
  return response->plain && response->status == 400 && body->len > 0 &&
         (uq_contains(body->data, body->len, "https") ||
          uq_contains(body->data, body->len, "ssl"));
}

void uqL_response_push_hint(lua_State *L,
                            const struct uq_response_context *context,
                            const struct uq_response *response) {
  const char *encoding = response->received.content_encoding;
  size_t len = strlen(encoding);
  if (len > 0 && !uq_begins(encoding, len, "identity")) {
    uqL_push_redacted(L, encoding, len, MAX_ENCODING, &context->secrets, true);
    lua_pushfstring(L, " (Content-Encoding: %s)", lua_tostring(L, -1));
    lua_replace(L, -2);
  } else if (begins_with(&response->body, "\x1f\x8b")) {
    lua_pushliteral(L, " (it is compressed by gzip, and no header says so)");
  } else if (has_byte_order_mark(&response->body)) {
    lua_pushliteral(L, " (it begins with a byte order mark, BOM)");
  } else {
    lua_pushstring(L, wants_tls(response) ? uq_tls_expected : "");
  }
}

/* The index of the quote that ends the string which begins at start; len: it
** does not end. */
static size_t end_of_string(const char *text, size_t len, size_t start) {
  size_t i = start + 1;
  while (i < len && text[i] != '"')
    i += text[i] == '\\' ? 2 : 1;
  return i < len ? i : len;
}

/* True if the text is an object, but for what stands behind its end. */
static bool has_whole_object(const char *text, size_t len) {
  size_t depth = 0;
  for (size_t i = 0; i < len; i++) {
    char c = text[i];
    if (c == '"')
      i = end_of_string(text, len, i);
    else if (c == '{' || c == '[')
      depth++;
    else if ((c == '}' || c == ']') && --depth == 0)
      return true;
  }
  return false;
}

bool uq_response_may_be_cut(const struct uq_response *response) {
  const char *text = response->body.data;
  size_t len = response->body.len, start = 0;
  if (!response->unframed) /* its end was announced, and came */
    return false;
  while (start < len && (text[start] == ' ' || text[start] == '\t' ||
                         text[start] == '\r' || text[start] == '\n'))
    start++;
  if (start < len && text[start] != '{')
    return false;
  return !has_whole_object(text + start, len - start);
}

bool uqL_response_error_not_json(lua_State *L,
                                 const struct uq_response_context *context,
                                 const struct uq_response *response,
                                 struct uq_failure *failure) {
  if (!uq_response_may_be_cut(response))
    return uqL_response_error(L, context, response, UQ_DECODE);
  lua_pushliteral(L, "; it may be incomplete (it came over HTTP/2 without a "
                     "length)");
  lua_concat(L, 2);
  failure->outcome_unknown = true;
  return uqL_response_error(L, context, response, UQ_CONNECT);
}
