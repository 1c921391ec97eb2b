/*
** api_error.c - see api_error.h. The HTTP status decides, not the code in the
** body, but for errors that come with the status of a success.
** SPDX-License-Identifier: MIT
*/
#include "binding/api_error.h"

#include <stdio.h>
#include <string.h>

#include "binding/error.h"
#include "binding/json.h"
#include "binding/options.h"
#include "binding/response_context.h"
#include "binding/response_error.h"
#include "engine/api/endpoint.h"
#include "engine/base/ascii.h"
#include "engine/base/buf.h"
#include "engine/base/error_kind.h"
#include "engine/base/redact.h"
#include "engine/http/response_headers.h"
#include "engine/http/transfer.h"
#include "engine/policy/retry.h"

/* Bytes shown in messages and fields. */
#define MAX_MESSAGE 512 /* of the API's message */
#define MAX_TEXT 128    /* of its code and type, of a field's name, of a URL */

#define MAX_MISSING_FIELDS 32 /* copied from a body */

/* ------------------------------------------------------------------------ */
/* kinds                                                                     */
/* ------------------------------------------------------------------------ */

/* Maps an HTTP status to an error kind; 0: an error without a status. */
static enum uq_kind kind_of_status(int status) {
  switch (status) {
  case 0:
    return UQ_API;
  case 401:
    return UQ_AUTH;
  case 403:
    return UQ_PERMISSION;
  case 404:
    return UQ_NOT_FOUND;
  case 408:
    return UQ_TIMEOUT;
  case 409:
    return UQ_CONFLICT;
  case 429:
    return UQ_RATE_LIMIT;
  default:
    if (status >= 500 && status < 600)
      return UQ_API;
    return status >= 400 && status < 500 ? UQ_INVALID_REQUEST : UQ_PROTOCOL;
  }
}

/* The kind that the caller sees: a 4xx of a login is about its credentials,
** whatever the status, except for 408 and 429. */
static enum uq_kind reported_kind(const struct uq_response_context *context,
                                  int status, enum uq_kind kind) {
  bool refused =
      status >= 400 && status < 500 && status != 408 && status != 429;
  return context->endpoint->login && refused ? UQ_AUTH : kind;
}

/* ------------------------------------------------------------------------ */
/* error bodies                                                              */
/* ------------------------------------------------------------------------ */

/* The fields of an error body, redacted; "" if absent. */
struct envelope {
  char message[MAX_MESSAGE + 1];
  char type[MAX_TEXT + 1];
  char code[MAX_TEXT + 1];
  bool numeric; /* the code was sent as a number */
};

/* Copies a string or number member of the table at the top, redacted. Returns
** its type; UQ_JSON_ABSENT: there is no such member. */
static enum uq_json_type copy_text(lua_State *L, const char *name,
                                   const struct uq_secrets *secrets, char *text,
                                   size_t max) {
  const char *value;
  size_t len;
  lua_getfield(L, -1, name);
  enum uq_json_type type = uqL_json_type(L, -1, &value, &len);
  if ((type == UQ_JSON_STRING || type == UQ_JSON_NUMBER) && len > 0) {
    uqL_push_redacted(L, value, len, max, secrets, true);
    snprintf(text, max + 1, "%s", lua_tostring(L, -1));
    lua_pop(L, 1);
  } else {
    type = UQ_JSON_ABSENT;
  }
  lua_pop(L, 1);
  return type;
}

/* Reads the decoded error body at the top, in the shapes of the API: {type,
** code, message}, {code, message} and {error} with or without a message. */
static void read_envelope(lua_State *L, const struct uq_secrets *secrets,
                          struct envelope *e) {
  memset(e, 0, sizeof *e);
  copy_text(L, "type", secrets, e->type, MAX_TEXT);
  e->numeric =
      copy_text(L, "code", secrets, e->code, MAX_TEXT) == UQ_JSON_NUMBER;
  if (copy_text(L, "message", secrets, e->message, MAX_MESSAGE) ==
      UQ_JSON_ABSENT)
    copy_text(L, "error", secrets, e->message, MAX_MESSAGE);
}

static bool message_has(const struct envelope *e, const char *words) {
  return uq_contains(e->message, strlen(e->message), words);
}

/* The API has one code for all of 401, so the text must tell the causes apart.
** Its general text names every cause at once: "Token expired, IP not allowed,
** or ...". */

static bool is_bad_token_format(const struct envelope *e) {
  return message_has(e, "token format") || message_has(e, "malformed");
}

static bool is_address_refused(const struct envelope *e) {
  static const char *const words[] = {
      "ip not allowed", "ip address", "whitelist", "white list",
      "allowlist",      "allow list", "allow-list"};
  size_t n = sizeof words / sizeof words[0];
  while (n > 0 && !message_has(e, words[n - 1]))
    n--;
  return n > 0 && !message_has(e, "expired");
}

/* True for the Account Center's 403 of an expired token: it has no 401. */
static bool is_token_expired(const struct envelope *e) {
  return message_has(e, "authorization error") ||
         (message_has(e, "expired") &&
          (message_has(e, "token") || message_has(e, "login") ||
           message_has(e, "jwt")));
}

#define WRONG_CREDENTIALS \
  "; client_id and api_key must be those of this environment"

/* What to do about an error of a login, appended to its message. */
static const char *login_advice(enum uq_kind kind) {
  switch (kind) {
  case UQ_AUTH:
  case UQ_INVALID_REQUEST:
    return WRONG_CREDENTIALS;
  case UQ_PERMISSION:
    return WRONG_CREDENTIALS ", and this host's address allowed to use them";
  case UQ_NOT_FOUND:
    return "; is base_url the one of the API? It ends in /api";
  default:
    return "";
  }
}

/* The same about an error of another request. */
static const char *advice(enum uq_kind kind, const struct envelope *e) {
  switch (kind) {
  case UQ_AUTH:
    if (is_bad_token_format(e))
      return "; the token is sent as \"Bearer <token>\": give it as issued";
    if (is_address_refused(e))
      return "; this host's address is not on the list of the API key";
    return "; the token may be expired, revoked or of the other environment";
  case UQ_PERMISSION:
    return "; tokens are per environment and product, and bound to an IP list";
  case UQ_IDEMPOTENCY:
    return "; leave idempotency_key out to get a fresh one";
  default:
    return "";
  }
}

/* The kind of an error body: the status decides, and the type where 400 stands
** for many. Fills failure. */
static enum uq_kind classify(int status, const struct envelope *e,
                             struct uq_failure *failure) {
  enum uq_kind kind = kind_of_status(status);
  failure->status = status;
  if (kind == UQ_AUTH)
    failure->token_refused = !is_bad_token_format(e) && !is_address_refused(e);
  if (kind == UQ_PERMISSION)
    failure->token_refused = is_token_expired(e);
  if (kind != UQ_INVALID_REQUEST && status != 0)
    return kind;
  if (message_has(e, "request is processing")) {
    failure->processing = true; /* its code is 200 and it has no type */
    return UQ_CONFLICT;
  }
  if (strcmp(e->type, "idempotency_error") == 0)
    return UQ_IDEMPOTENCY;
  if (strcmp(e->type, "not_found") == 0)
    return UQ_NOT_FOUND;
  return kind;
}

/* Copies the strings of missing_fields from the decoded table at idx into the
** error table at the top. False: it has none. */
static bool copy_missing_fields(lua_State *L, int idx,
                                const struct uq_secrets *secrets) {
  lua_getfield(L, idx, "missing_fields");
  bool found = lua_istable(L, -1);
  if (found) {
    lua_newtable(L);
    for (int i = 1; i <= MAX_MISSING_FIELDS; i++) {
      const char *text;
      size_t len;
      lua_rawgeti(L, -2, i);
      if (uqL_json_type(L, -1, &text, &len) != UQ_JSON_STRING) {
        lua_pop(L, 1);
        break;
      }
      uqL_push_redacted(L, text, len, MAX_TEXT, secrets, true);
      lua_rawseti(L, -3, i);
      lua_pop(L, 1);
    }
    lua_setfield(L, -3, "missing_fields");
  }
  lua_pop(L, 1);
  return found;
}

/* Pushes "HTTP <status> <type or code>: <message>". */
static void push_message(lua_State *L, int status, const struct envelope *e) {
  const char *name = e->type[0] != '\0' ? e->type : e->numeric ? "" : e->code;
  lua_pushfstring(L, "HTTP %d%s%s%s%s", status, name[0] != '\0' ? " " : "",
                  name, e->message[0] != '\0' ? ": " : "", e->message);
}

/* Sets the code of the error table at the top: a number if it was sent as one.
 */
static void set_code(lua_State *L, const struct envelope *e) {
  if (e->numeric && uqL_json_push_number(L, e->code, strlen(e->code),
                                         UQ_AMOUNTS_NUMBER, false))
    lua_setfield(L, -2, "code");
  else
    uqL_error_set_string(L, "code", e->code);
}

bool uqL_api_error_of_body(lua_State *L,
                           const struct uq_response_context *context,
                           const struct uq_response *response, int status,
                           struct uq_failure *failure) {
  struct envelope e;
  int outer = lua_gettop(L), inner = outer;
  lua_getfield(L, outer, "error");
  if (lua_istable(L, -1)) /* as many gateways wrap it */
    inner++;
  else
    lua_pop(L, 1);
  read_envelope(L, &context->secrets, &e);
  enum uq_kind kind = classify(status, &e, failure);
  push_message(L, response->status, &e);
  uqL_response_error(L, context, response,
                     reported_kind(context, response->status, kind));
  uqL_error_append_message(L, context->endpoint->login ? login_advice(kind)
                                                       : advice(kind, &e));
  uqL_error_set_string(L, "type", e.type);
  set_code(L, &e);
  if (!copy_missing_fields(L, inner, &context->secrets))
    copy_missing_fields(L, outer, &context->secrets);
  return false;
}

/* ------------------------------------------------------------------------ */
/* error statuses                                                            */
/* ------------------------------------------------------------------------ */

static bool refuse_redirect(lua_State *L,
                            const struct uq_response_context *context,
                            const struct uq_response *response) {
  const char *to = response->received.location;
  uqL_push_redacted(L, to, strcspn(to, "?#"), MAX_TEXT, &context->secrets,
                    true);
  lua_pushfstring(L, "HTTP %d: redirects are refused%s%s", response->status,
                  to[0] != '\0' ? ", this one to " : "", lua_tostring(L, -1));
  return uqL_response_error(L, context, response, UQ_PROTOCOL);
}

/* An error status whose body is not a JSON object: a proxy's page, or nothing.
 */
static bool error_of_bare_status(lua_State *L,
                                 const struct uq_response_context *context,
                                 const struct uq_response *response,
                                 struct uq_failure *failure) {
  int status = response->status;
  failure->status = status;
  failure->token_refused = status == 401;
  if (status >= 300 && status < 400)
    return refuse_redirect(L, context, response);
  enum uq_kind kind = kind_of_status(status);
  if (kind == UQ_PROTOCOL)
    lua_pushfstring(L, "HTTP %d is not a response to this request", status);
  else if (response->body.len == 0)
    lua_pushfstring(L, "HTTP %d with an empty body", status);
  else {
    uqL_response_push_hint(L, context, response);
    lua_pushfstring(L, "HTTP %d with a body that is no JSON object%s", status,
                    lua_tostring(L, -1));
  }
  return uqL_response_error(L, context, response,
                            reported_kind(context, status, kind));
}

/* True if the body may say that a request with this status can be retried. */
static bool is_body_decisive(int status) {
  return status >= 400 && status < 500 && status != 401 && status != 408 &&
         status != 429;
}

bool uqL_api_error_of_status(lua_State *L,
                             const struct uq_response_context *context,
                             const struct uq_response *response,
                             struct uq_failure *failure) {
  const struct uq_buf *body = &response->body;
  size_t members;
  if (response->status >= 400 && body->len > 0 &&
      uqL_json_decode(L, body->data, body->len, true, context->scratch,
                      &members) &&
      lua_istable(L, -1))
    return uqL_api_error_of_body(L, context, response, response->status,
                                 failure);
  if (is_body_decisive(response->status) && body->len > 0 &&
      uq_response_may_be_cut(response)) {
    lua_pushfstring(L, "HTTP %d, but its body is no JSON", response->status);
    return uqL_response_error_not_json(L, context, response, failure);
  }
  return error_of_bare_status(L, context, response, failure);
}
