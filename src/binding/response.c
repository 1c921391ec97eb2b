/*
** response.c - judges what came of an attempt: a result table that keeps the
** endpoint's schema, or an error table. The HTTP status is trusted, never the
** body's own code, but for success statuses whose body is an error.
** SPDX-License-Identifier: MIT
*/
#include "binding/response.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "binding/compat.h"
#include "binding/error.h"
#include "binding/json.h"
#include "binding/options.h"
#include "binding/token.h"
#include "engine/api/endpoint.h"
#include "engine/base/ascii.h"
#include "engine/base/buf.h"
#include "engine/base/clock.h"
#include "engine/base/error_kind.h"
#include "engine/base/redact.h"
#include "engine/http/transport.h"
#include "engine/number/flat_json.h"
#include "engine/number/number.h"
#include "engine/policy/retry.h"

#define MAX_MESSAGE 512 /* of the API's own message */
#define MAX_TEXT 128    /* of its code and type */
#define MAX_MISSING 32  /* of its missing fields */
#define MAX_CURRENCY 40 /* of a currency that was not asked for */
#define MAX_FLAT 16     /* members that the short way takes */

/* ------------------------------------------------------------------------ */
/* errors                                                                    */
/* ------------------------------------------------------------------------ */

/* What every error table of an answered attempt has. At the top: the table. */
static void set_answer_fields(lua_State *L, const struct uq_response_context *q,
                              const struct uq_response *a) {
  lua_pushinteger(L, a->status);
  lua_setfield(L, -2, "status");
  uqL_error_set_redacted(L, "request_id", a->received.request_id, &q->secrets);
  bool secret = q->endpoint->login; /* a token may be in it */
  if (a->body.len > 0 && !secret) {
    uqL_push_redacted(L, a->body.data, a->body.len, UQ_SHOWN_MAX, &q->secrets,
                      false);
    lua_setfield(L, -2, "body");
  }
}

/* Pops a message; pushes its error table. False, for the judge to return. */
static bool refuse(lua_State *L, const struct uq_response_context *q,
                   const struct uq_response *a, enum uq_kind kind) {
  uqL_error_new(L, kind);
  set_answer_fields(L, q, a);
  return false;
}

/* No whole answer came. */
static bool judge_failure(lua_State *L, const struct uq_response_context *q,
                          const struct uq_response *a, struct uq_failure *f) {
  uqL_push_redacted(L, a->message, strlen(a->message), MAX_MESSAGE, &q->secrets,
                    true);
  uqL_error_new(L, a->kind);
  if (a->kind == UQ_TLS) {
    uqL_error_append_message(L, "; authorities in use: ");
    uqL_error_append_message(L,
                             q->ca_file != NULL ? q->ca_file : "the system's");
    uqL_error_append_message(L, " (options ca_file and ca_path)");
  }
  if (a->status != 0)
    set_answer_fields(L, q, a);
  if (a->curl_code != 0) {
    lua_pushinteger(L, a->curl_code);
    lua_setfield(L, -2, "curl_code");
    uqL_error_set_string(L, "curl_name", a->curl_name);
  }
  if (a->os_errno != 0) {
    lua_pushinteger(L, a->os_errno);
    lua_setfield(L, -2, "os_errno");
  }
  f->outcome_unknown = a->outcome_unknown;
  f->never_sent = a->never_sent;
  return false;
}

/* The kind that a status stands for; 0 is an error that bears none. */
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

/* A login that is refused is refused for its credentials, whatever the status.
** (408 and 429 say nothing of them.) */
static enum uq_kind kind_of_refusal(const struct uq_response_context *q,
                                    int status, enum uq_kind kind) {
  bool refused =
      status >= 400 && status < 500 && status != 408 && status != 429;
  return q->endpoint->login && refused ? UQ_AUTH : kind;
}

/* What an error body says of itself; "" where it says nothing. */
struct envelope {
  char message[MAX_MESSAGE + 1];
  char type[MAX_TEXT + 1];
  char code[MAX_TEXT + 1];
  bool numeric; /* the code was sent as a number */
};

/* Copies a string or number member of the table at the top, redacted. */
static bool take_text(lua_State *L, const char *name,
                      const struct uq_secrets *secrets, char *text, size_t max,
                      bool *numeric) {
  const char *value;
  size_t len;
  bool found = false;
  lua_getfield(L, -1, name);
  enum uq_json_type type = uqL_json_type(L, -1, &value, &len);
  if ((type == UQ_JSON_STRING || type == UQ_JSON_NUMBER) && len > 0) {
    uqL_push_redacted(L, value, len, max, secrets, true);
    snprintf(text, max + 1, "%s", lua_tostring(L, -1));
    lua_pop(L, 1);
    if (numeric != NULL)
      *numeric = type == UQ_JSON_NUMBER;
    found = true;
  }
  lua_pop(L, 1);
  return found;
}

/* Reads the decoded error body at the top, in the shapes of the API: {type,
** code, message}, {code, message} and {error} with or without a message. */
static void read_envelope(lua_State *L, const struct uq_secrets *secrets,
                          struct envelope *e) {
  memset(e, 0, sizeof *e);
  take_text(L, "type", secrets, e->type, MAX_TEXT, NULL);
  take_text(L, "code", secrets, e->code, MAX_TEXT, &e->numeric);
  if (!take_text(L, "message", secrets, e->message, MAX_MESSAGE, NULL))
    take_text(L, "error", secrets, e->message, MAX_MESSAGE, NULL);
}

static bool says(const struct envelope *e, const char *words) {
  return uq_contains(e->message, strlen(e->message), words);
}

/* The API has one code for all of 401, so its text must tell. The general one
** names every cause at once: "Token expired, IP not allowed, or ...". */
static bool says_format(const struct envelope *e) {
  return says(e, "token format") || says(e, "malformed");
}

static bool says_address(const struct envelope *e) {
  static const char *const words[] = {
      "ip not allowed", "ip address", "whitelist", "white list",
      "allowlist",      "allow list", "allow-list"};
  size_t n = sizeof words / sizeof words[0];
  while (n > 0 && !says(e, words[n - 1]))
    n--;
  return n > 0 && !says(e, "expired");
}

/* What the Account Center, which has no 401, says of a token that is over. */
static bool says_over(const struct envelope *e) {
  return says(e, "authorization error") ||
         (says(e, "expired") &&
          (says(e, "token") || says(e, "login") || says(e, "jwt")));
}

/* One word more about what to do, where that is known. */
static const char *advice(enum uq_kind kind, const struct envelope *e,
                          bool login) {
  if (login && (kind == UQ_AUTH || kind == UQ_INVALID_REQUEST))
    return "; client_id and api_key must be those of this environment";
  if (login && kind == UQ_PERMISSION)
    return "; client_id and api_key must be those of this environment, and "
           "this "
           "host's address allowed to use them";
  if (login && kind == UQ_NOT_FOUND)
    return "; is base_url the one of the API? It ends in /api";
  switch (kind) {
  case UQ_AUTH:
    if (says_format(e))
      return "; the token is sent as \"Bearer <token>\": give it as issued";
    if (says_address(e))
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

/* Which kind an error answer is: the status decides, and the type where 400
** stands for many. */
static enum uq_kind judge_kind(int status, const struct envelope *e,
                               struct uq_failure *f) {
  enum uq_kind kind = kind_of_status(status);
  f->status = status;
  f->token_refused = kind == UQ_AUTH && !says_format(e) && !says_address(e);
  if (kind == UQ_PERMISSION)
    f->token_refused = says_over(e);
  if (kind != UQ_INVALID_REQUEST && status != 0)
    return kind;
  if (says(e, "request is processing")) {
    f->processing = true; /* its code is 200 and it has no type */
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
    for (int i = 1; i <= MAX_MISSING; i++) {
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

/* Pushes the message of an API error. */
static void push_message(lua_State *L, int status, const struct envelope *e) {
  const char *name = e->type[0] != '\0' ? e->type : e->code;
  lua_pushfstring(L, "HTTP %d", status);
  if (name[0] != '\0' && !(e->numeric && name == e->code))
    lua_pushfstring(L, " %s", name);
  else
    lua_pushliteral(L, "");
  if (e->message[0] != '\0')
    lua_pushfstring(L, ": %s", e->message);
  else
    lua_pushliteral(L, "");
  lua_concat(L, 3);
}

/* The decoded body at the top is an error's. status is what it counts as. */
static bool judge_envelope(lua_State *L, const struct uq_response_context *q,
                           const struct uq_response *a, int status,
                           struct uq_failure *f) {
  struct envelope e;
  int outer = lua_gettop(L), inner = outer;
  lua_getfield(L, outer, "error");
  if (lua_istable(L, -1)) /* as many gateways wrap it */
    inner++;
  else
    lua_pop(L, 1);
  read_envelope(L, &q->secrets, &e);
  enum uq_kind kind = judge_kind(status, &e, f);
  push_message(L, a->status, &e);
  refuse(L, q, a, kind_of_refusal(q, a->status, kind));
  uqL_error_append_message(L, advice(kind, &e, q->endpoint->login));
  uqL_error_set_string(L, "type", e.type);
  if (e.numeric &&
      uqL_json_push_number(L, e.code, strlen(e.code), UQ_AMOUNTS_NUMBER, false))
    lua_setfield(L, -2, "code");
  else
    uqL_error_set_string(L, "code", e.code);
  if (!copy_missing_fields(L, inner, &q->secrets))
    copy_missing_fields(L, outer, &q->secrets);
  return false;
}

/* True if the body, which is not JSON, says that the port is one for TLS. */
static bool wants_tls(const struct uq_response *a) {
  return a->plain && a->status == 400 && a->body.len > 0 &&
         (uq_contains(a->body.data, a->body.len, "https") ||
          uq_contains(a->body.data, a->body.len, "ssl"));
}

#define MAX_ENCODING 40 /* bytes shown of a Content-Encoding */

/* Pushes what may be why a body is no JSON, "" if nothing shows. */
static void push_oddity(lua_State *L, const struct uq_response_context *q,
                        const struct uq_response *a) {
  const char *encoding = a->received.content_encoding, *body = a->body.data;
  size_t len = a->body.len;
  if (encoding[0] != '\0' &&
      !uq_begins(encoding, strlen(encoding), "identity")) {
    uqL_push_redacted(L, encoding, strlen(encoding), MAX_ENCODING, &q->secrets,
                      true);
    lua_pushfstring(L, " (Content-Encoding: %s)", lua_tostring(L, -1));
    lua_replace(L, -2);
  } else if (len >= 2 && memcmp(body, "\x1f\x8b", 2) == 0) {
    lua_pushliteral(L, " (it is packed by gzip, and no header says so)");
  } else if ((len >= 3 && memcmp(body, "\xef\xbb\xbf", 3) == 0) ||
             (len >= 2 && (memcmp(body, "\xfe\xff", 2) == 0 ||
                           memcmp(body, "\xff\xfe", 2) == 0))) {
    lua_pushliteral(L, " (it begins with a byte order mark, BOM)");
  } else {
    lua_pushstring(L, wants_tls(a) ? uq_tls_expected : "");
  }
}

/* True if the text, which is not JSON, may be the beginning of an object. */
static bool looks_cut(const char *text, size_t len) {
  size_t depth = 0;
  bool quoted = false;
  for (size_t i = 0; i < len; i++) {
    char c = text[i];
    if (depth == 0 && c != '{' && c != ' ' && c != '\t' && c != '\r' &&
        c != '\n')
      return false;
    if (quoted && c == '\\')
      i++;
    else if (c == '"')
      quoted = !quoted;
    else if (!quoted && (c == '{' || c == '['))
      depth++;
    else if (!quoted && (c == '}' || c == ']') && --depth == 0)
      return false;
  }
  return true;
}

/* Refuses a body that is not JSON, with the message on top of the stack. If it
** may have been cut, the outcome of the request is unknown, and the message
** says so. */
static bool refuse_body(lua_State *L, const struct uq_response_context *q,
                        const struct uq_response *a, struct uq_failure *f) {
  if (!a->unframed || !looks_cut(a->body.data, a->body.len))
    return refuse(L, q, a, UQ_DECODE);
  lua_pushliteral(L, "; it seems to be cut (it came over HTTP/2, without a "
                     "length)");
  lua_concat(L, 2);
  f->outcome_unknown = true;
  return refuse(L, q, a, UQ_CONNECT);
}

/* An error status whose body is no JSON object: a proxy's page, or nothing. */
static bool judge_bare_status(lua_State *L, const struct uq_response_context *q,
                              const struct uq_response *a,
                              struct uq_failure *f) {
  f->status = a->status;
  f->token_refused = a->status == 401;
  if (a->status >= 300 && a->status < 400) {
    const char *to = a->received.location;
    uqL_push_redacted(L, to, strcspn(to, "?#"), MAX_TEXT, &q->secrets, true);
    lua_pushfstring(L, "HTTP %d: redirects are refused%s%s", a->status,
                    to[0] != '\0' ? ", this one to " : "", lua_tostring(L, -1));
    return refuse(L, q, a, UQ_PROTOCOL);
  }
  enum uq_kind kind = kind_of_status(a->status);
  if (kind == UQ_PROTOCOL)
    lua_pushfstring(L, "HTTP %d is no answer to this request", a->status);
  else if (a->body.len == 0)
    lua_pushfstring(L, "HTTP %d with an empty body", a->status);
  else {
    push_oddity(L, q, a);
    lua_pushfstring(L, "HTTP %d with a body that is no JSON object%s",
                    a->status, lua_tostring(L, -1));
  }
  return refuse(L, q, a, kind_of_refusal(q, a->status, kind));
}

/* True if the body may say that a request with this status can be retried. */
static bool is_body_decisive(int status) {
  return status >= 400 && status < 500 && status != 401 && status != 408 &&
         status != 429;
}

static bool judge_error_status(lua_State *L,
                               const struct uq_response_context *q,
                               const struct uq_response *a,
                               struct uq_failure *f) {
  size_t members;
  if (a->status >= 400 && a->body.len > 0 &&
      uqL_json_decode(L, a->body.data, a->body.len, true, q->scratch,
                      &members) &&
      lua_istable(L, -1))
    return judge_envelope(L, q, a, a->status, f);
  if (is_body_decisive(a->status) && a->unframed && a->body.len > 0 &&
      looks_cut(a->body.data, a->body.len)) {
    lua_pushfstring(L, "HTTP %d, but its body is no JSON", a->status);
    return refuse_body(L, q, a, f);
  }
  return judge_bare_status(L, q, a, f);
}

/* ------------------------------------------------------------------------ */
/* results                                                                   */
/* ------------------------------------------------------------------------ */

static const char *type_name(enum uq_json_type type, const char *text,
                             size_t len) {
  static const char *const names[] = {"nothing", "a number", "a string",
                                      "an object or array", "a boolean"};
  if (type == UQ_JSON_STRING && len == 0)
    return "an empty string";
  if (type == UQ_JSON_STRING && uq_has_control(text, len))
    return "a string with control bytes";
  return names[type];
}

/* What is wrong with a number that has no place in that form of amounts. */
static const char *out_of_range(int amounts) {
  return amounts == UQ_AMOUNTS_EXACT
             ? "more than 38 digits: use amounts = \"string\""
             : "out of a double's range: use amounts = \"string\"";
}

/* The value at the top is to be a whole number, or its digits in a string: a
** Lua number is put in its place. */
static const char *check_count(lua_State *L, const char *text, size_t len,
                               enum uq_json_type type) {
  double value;
  bool number = type == UQ_JSON_NUMBER ||
                (type == UQ_JSON_STRING && uq_number_valid(text, len));
  if (!number || !uqL_json_double(L, text, len, &value) || value < 0 ||
      value > 1e15 || floor(value) != value)
    return "a whole number expected";
  uqL_pushcount(L, value);
  lua_replace(L, -2);
  return NULL;
}

static const char *check_amount(lua_State *L,
                                const struct uq_response_context *q,
                                const char *text, size_t len,
                                enum uq_json_type type) {
  bool number = type == UQ_JSON_NUMBER ||
                (type == UQ_JSON_STRING && uq_number_valid(text, len));
  if (!number)
    return "a number, or its digits in a string, expected";
  if (!uqL_json_push_number(L, text, len, q->amounts, true))
    return out_of_range(q->amounts);
  lua_replace(L, -2);
  return NULL;
}

/* The string at the top becomes a list of it, an empty one an empty list. */
static void to_list(lua_State *L, size_t len) {
  lua_newtable(L);
  lua_insert(L, -2);
  if (len > 0)
    lua_rawseti(L, -2, 1);
  else
    lua_pop(L, 1);
}

/* The elements of the list at the top are to be strings. */
static const char *check_names(lua_State *L, enum uq_json_type type,
                               size_t len) {
  const char *text;
  const char *expected = NULL;
  if (type == UQ_JSON_STRING)
    to_list(L, len);
  if (!lua_istable(L, -1))
    return "a list of strings expected";
  lua_pushnil(L);
  while (expected == NULL && lua_next(L, -2) != 0) {
    if (uqL_json_type(L, -1, &text, &len) != UQ_JSON_STRING ||
        lua_type(L, -2) != LUA_TNUMBER)
      expected = "a list of strings expected";
    lua_pop(L, 1);
  }
  if (expected != NULL)
    lua_pop(L, 1); /* the key */
  return expected;
}

/* What is wrong with a currency that is not the one asked for. */
static const char other_currency[] = "another currency";

/* What is wrong with a string that has no control bytes; NULL: nothing. */
static const char *check_plain(const struct uq_response_context *q,
                               const char *text, size_t len,
                               enum uq_field_type wanted) {
  if (wanted > UQ_FIELD_PLAIN && len == 0)
    return "a string that is not empty expected";
  if (wanted == UQ_FIELD_CURRENCY && q->currency[0] != '\0' &&
      (len != strlen(q->currency) || memcmp(text, q->currency, len) != 0))
    return other_currency;
  return wanted == UQ_FIELD_TOKEN ? uq_token_check(text, len) : NULL;
}

static const char *check_text(const struct uq_response_context *q,
                              const char *text, size_t len,
                              enum uq_json_type type,
                              enum uq_field_type wanted) {
  if (type != UQ_JSON_STRING)
    return "a string expected";
  if (wanted != UQ_FIELD_TEXT && uq_has_control(text, len))
    return "a string without control bytes expected";
  return check_plain(q, text, len, wanted);
}

/* At the top: a field's value, which what the schema wants is put in the place
** of. NULL: it is as the schema wants it; else what was expected. */
static const char *check_field(lua_State *L,
                               const struct uq_response_context *q,
                               enum uq_field_type wanted) {
  const char *text = "";
  size_t len = 0;
  enum uq_json_type type = uqL_json_type(L, -1, &text, &len);
  switch (wanted) {
  case UQ_FIELD_AMOUNT:
    return check_amount(L, q, text, len, type);
  case UQ_FIELD_COUNT:
    return check_count(L, text, len, type);
  case UQ_FIELD_NAMES:
    return check_names(L, type, len);
  case UQ_FIELD_ITEMS:
    return lua_istable(L, -1) ? NULL : "a list expected";
  case UQ_FIELD_ANY:
    return NULL;
  default:
    return check_text(q, text, len, type, wanted);
  }
}

/* Pushes what is wrong with a field. */
static void push_misfit(lua_State *L, const struct uq_response_context *q,
                        const char *prefix, const char *name,
                        const char *expected, enum uq_json_type type,
                        const char *text, size_t len) {
  if (expected == other_currency) {
    uqL_push_redacted(L, text, len, MAX_CURRENCY, &q->secrets, true);
    lua_pushfstring(L, "the answer's %s%s: asked for %s, got %s", prefix, name,
                    q->currency, lua_tostring(L, -1));
  } else {
    lua_pushfstring(L, "the answer's %s%s: %s, got %s", prefix, name, expected,
                    type_name(type, text, len));
  }
}

/* True if the page whose table is at idx, and whose totals are checked, can
** have no items: there are none at all, or it is behind the last page. */
static bool is_beyond(lua_State *L, int idx,
                      const struct uq_response_context *q) {
  long size = 0, number = 1;
  lua_getfield(L, idx, "total_items");
  double total = (double)lua_tonumber(L, -1);
  lua_pop(L, 1);
  if (sscanf(q->query, "?page_size=%ld&page_number=%ld", &size, &number) != 2)
    number = 1;
  return total <= (double)(number - 1) * (double)size;
}

/* True if the field may be absent from the table at idx. */
static bool may_lack(lua_State *L, int idx, const struct uq_response_context *q,
                     const struct uq_field *f) {
  return f->optional || (f->type == UQ_FIELD_ITEMS && is_beyond(L, idx, q));
}

/* True if an empty string is in the place of an amount that may be absent. */
static bool is_blank(const struct uq_field *f, enum uq_json_type type,
                     size_t len) {
  return f->optional && f->type == UQ_FIELD_AMOUNT && type == UQ_JSON_STRING &&
         len == 0;
}

static bool check_items(lua_State *L, const struct uq_response_context *q,
                        const char *name);

/* Checks the decoded table at the top, which the messages call by that prefix.
** False: pushes why not. */
static bool check_schema(lua_State *L, const struct uq_response_context *q,
                         const struct uq_field *schema, const char *prefix) {
  int table = lua_gettop(L);
  for (const struct uq_field *f = schema; f->name != NULL; f++) {
    lua_getfield(L, table, f->name);
    const char *text = "";
    size_t len = 0;
    enum uq_json_type type = uqL_json_type(L, -1, &text, &len);
    if (is_blank(f, type, len)) { /* null in its place: members are counted */
      lua_pushlightuserdata(L, NULL);
      lua_setfield(L, table, f->name);
      type = UQ_JSON_ABSENT;
    }
    if (type == UQ_JSON_ABSENT && may_lack(L, table, q, f)) {
      lua_pop(L, 1);
      continue;
    }
    if (type == UQ_JSON_ABSENT) {
      lua_pushfstring(L, "the answer has no %s%s", prefix, f->name);
      return false;
    }
    const char *expected = check_field(L, q, f->type);
    if (expected != NULL) {
      push_misfit(L, q, prefix, f->name, expected, type, text, len);
      return false;
    }
    if (f->type == UQ_FIELD_ITEMS && !check_items(L, q, f->name))
      return false;
    if (f->type == UQ_FIELD_AMOUNT || f->type == UQ_FIELD_COUNT ||
        f->type == UQ_FIELD_NAMES)
      lua_setfield(L, table, f->name);
    else
      lua_pop(L, 1);
  }
  return true;
}

/* Checks the list at the top, item by item. False: pushes why not. */
static bool check_items(lua_State *L, const struct uq_response_context *q,
                        const char *name) {
  int list = lua_gettop(L);
  for (lua_pushnil(L); lua_next(L, list) != 0; lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TNUMBER || !lua_istable(L, -1)) {
      lua_pushfstring(L, "the answer's %s: a list of objects expected", name);
      return false;
    }
    char prefix[64];
    snprintf(prefix, sizeof prefix, "%s[%.0f].", name,
             (double)lua_tonumber(L, -2));
    if (!check_schema(L, q, q->endpoint->items, prefix))
      return false;
  }
  return true;
}

/* True if the text says that all went well. */
static bool says_success(const char *text, size_t len) {
  return (uq_contains(text, len, "success") &&
          !uq_contains(text, len, "unsuccess")) ||
         (len == 2 && uq_begins(text, len, "ok"));
}

/* True if the body at the top, which lacks the fields that were asked for, is
** {code, message, data}, in which other generations of the API wrap their
** answers, and reports no error. */
static bool is_wrapped(lua_State *L) {
  const char *code = "", *message = "", *text;
  size_t code_len = 0, message_len = 0, len;
  double value = 0;
  lua_getfield(L, -1, "code");
  lua_getfield(L, -2, "message");
  lua_getfield(L, -3, "data");
  enum uq_json_type coded = uqL_json_type(L, -3, &code, &code_len);
  enum uq_json_type told = uqL_json_type(L, -2, &message, &message_len);
  enum uq_json_type data = uqL_json_type(L, -1, &text, &len);
  bool success = told == UQ_JSON_STRING && says_success(message, message_len);
  bool plain = code_len == 0;
  if (code_len > 0 && uq_number_valid(code, code_len)) {
    plain = uqL_json_double(L, code, code_len, &value) && value < 400;
    success = success && (value < 400 || value >= 600);
  }
  bool there = coded != UQ_JSON_ABSENT || told != UQ_JSON_ABSENT;
  bool full = false;
  if (data == UQ_JSON_TABLE) {
    lua_pushnil(L);
    full = lua_next(L, -2) != 0;
    if (full)
      lua_pop(L, 2);
  }
  lua_pop(L, 3);
  if (data == UQ_JSON_ABSENT || data == UQ_JSON_TABLE)
    return success || (there && plain && full);
  return false;
}

/* Does the code at idx, a string, stand for a failure? */
static bool code_fails(lua_State *L, int idx) {
  const char *code;
  size_t len;
  if (uqL_json_type(L, idx, &code, &len) != UQ_JSON_STRING || len == 0)
    return false;
  if (strspn(code, "0123456789") == len)
    return strtod(code, NULL) >= 400;
  return !says_success(code, len);
}

/* Is there a text or table at idx that tells of something else than success? */
static bool complains(lua_State *L, int idx) {
  const char *text;
  size_t len;
  enum uq_json_type type = uqL_json_type(L, idx, &text, &len);
  return type == UQ_JSON_TABLE ||
         (type == UQ_JSON_STRING && len > 0 && !says_success(text, len));
}

/* Does a body with the fields that were asked for tell of a failure all the
** same: by a code and a message, or beside a list that is not there? */
static bool tells_failure(lua_State *L, const struct uq_response_context *q) {
  const char *text;
  size_t len;
  int body = lua_gettop(L);
  lua_getfield(L, body, "data");
  bool bare = q->endpoint->items != NULL &&
              uqL_json_type(L, -1, &text, &len) == UQ_JSON_ABSENT;
  lua_getfield(L, body, "code");
  lua_getfield(L, body, "message");
  lua_getfield(L, body, "error");
  bool told = complains(L, -2), error = complains(L, -1);
  bool failure = (code_fails(L, -3) && told) || (bare && (told || error));
  lua_settop(L, body);
  return failure;
}

enum form { WANTED, ERROR, WRAPPED };

/* What the body of a success status is. An error has a code of 400 and more, or
** an `error` or `message` in place of the data, or tells of a failure beside
** it. status is then what it counts as, 0 when the body bears none. */
static enum form form_of(lua_State *L, const struct uq_response_context *q,
                         int *status) {
  const char *text;
  size_t len;
  double code = 0;
  lua_getfield(L, -1, "code");
  if (uqL_json_type(L, -1, &text, &len) == UQ_JSON_NUMBER)
    uqL_json_double(L, text, len, &code);
  lua_getfield(L, -2, q->endpoint->schema->name);
  lua_getfield(L, -3, "error");
  lua_getfield(L, -4, "message");
  bool data = uqL_json_type(L, -3, &text, &len) != UQ_JSON_ABSENT;
  bool error = uqL_json_type(L, -2, &text, &len) != UQ_JSON_ABSENT;
  bool message = uqL_json_type(L, -1, &text, &len) != UQ_JSON_ABSENT;
  lua_pop(L, 4);
  *status = code >= 400 && code < 600 ? (int)code : 0;
  if (!data && !error && *status == 0 && is_wrapped(L))
    return WRAPPED;
  if (code >= 400 || (!data && (error || message)))
    return ERROR;
  return data && tells_failure(L, q) ? ERROR : WANTED;
}

static bool is_named(const struct uq_member *m, const char *name) {
  return strlen(name) == m->name_len && memcmp(m->name, name, m->name_len) == 0;
}

/* The field of the schema that the member is; guess is tried first. NULL: none,
** or one whose value need not be plain. */
static const struct uq_field *find_field(const struct uq_response_context *q,
                                         const struct uq_field *guess,
                                         const struct uq_member *m) {
  const struct uq_field *f = guess, *schema = q->endpoint->schema;
  if (f->name == NULL || !is_named(m, f->name)) {
    for (f = schema; f->name != NULL && !is_named(m, f->name); f++)
      continue;
  }
  bool plain = f->type <= UQ_FIELD_AMOUNT || q->token != NULL;
  return f->name != NULL && plain ? f : NULL;
}

/* Takes the token of a login. */
static bool take_token(const struct uq_response_context *q,
                       const struct uq_member *m) {
  uq_buf_init(q->token, m->len);
  return m->string && uq_token_check(m->text, m->len) == NULL &&
         uq_buf_append(q->token, m->text, m->len) == UQ_BUF_OK;
}

/* Pushes the value of a member, if it is as the schema wants it. */
static bool push_member(lua_State *L, const struct uq_response_context *q,
                        const struct uq_field *f, const struct uq_member *m) {
  if (f->type == UQ_FIELD_AMOUNT)
    return (!m->string || uq_number_valid(m->text, m->len)) &&
           uqL_json_push_number(L, m->text, m->len, q->amounts, true);
  if (f->type == UQ_FIELD_TOKEN) {
    lua_pushboolean(L, 1);
    return take_token(q, m);
  }
  if (f->type != UQ_FIELD_ANY &&
      (!m->string || check_plain(q, m->text, m->len, f->type) != NULL))
    return false;
  lua_pushlstring(L, m->text, m->len);
  return true;
}

/* The short way for an answer that is just the schema's fields, plain strings
** and numbers, each once: pushes the result. False, with nothing pushed: the
** JSON library must see it. Whatever is found to be wrong is left to that. */
static bool judge_flat(lua_State *L, const struct uq_response_context *q,
                       const struct uq_response *a) {
  const struct uq_field *schema = q->endpoint->schema, *guess = schema;
  struct uq_member members[MAX_FLAT];
  int top = lua_gettop(L);
  unsigned seen = 0;
  int n = uq_flat_json_parse(a->body.data, a->body.len, members, MAX_FLAT);
  if (n == 0)
    return false;
  lua_createtable(L, 0, n);
  for (int i = 0; i < n; i++) {
    const struct uq_field *f = find_field(q, guess, &members[i]);
    unsigned bit = f != NULL ? 1u << (f - schema) : 0;
    if (f == NULL || (seen & bit) != 0 || !push_member(L, q, f, &members[i])) {
      lua_settop(L, top);
      return false;
    }
    lua_setfield(L, -2, f->name);
    seen |= bit;
    guess = f + 1;
  }
  for (const struct uq_field *f = schema; f->name != NULL; f++) {
    if (!f->optional && (seen & 1u << (f - schema)) == 0) {
      lua_settop(L, top);
      return false;
    }
  }
  return true;
}

/* The field of the table at the top becomes an empty list if it is absent. */
static void fill_list(lua_State *L, const char *name) {
  lua_getfield(L, -1, name);
  if (lua_isnil(L, -1)) {
    lua_newtable(L);
    lua_setfield(L, -3, name);
  }
  lua_pop(L, 1);
}

static bool judge_success(lua_State *L, const struct uq_response_context *q,
                          const struct uq_response *a, struct uq_failure *f) {
  size_t members = 0;
  if (a->body.len == 0) {
    lua_pushfstring(L, "HTTP %d with an empty body", a->status);
    return refuse_body(L, q, a, f);
  }
  if (judge_flat(L, q, a))
    return true;
  if (q->token != NULL)
    uq_buf_free(q->token);
  if (!uqL_json_decode(L, a->body.data, a->body.len, false, q->scratch,
                       &members)) {
    push_oddity(L, q, a);
    lua_pushfstring(L, "HTTP %d, but its body is no JSON: %s%s", a->status,
                    lua_tostring(L, -2), lua_tostring(L, -1));
    return refuse_body(L, q, a, f);
  }
  if (!lua_istable(L, -1)) {
    lua_pushfstring(L, "HTTP %d, but its body is no JSON object", a->status);
    return refuse(L, q, a, UQ_SCHEMA);
  }
  int status;
  switch (form_of(L, q, &status)) {
  case ERROR:
    return judge_envelope(L, q, a, status, f);
  case WRAPPED:
    lua_pushfstring(
        L,
        "HTTP %d, but its body is {code, message, data}, as another "
        "generation of the API answers: see base_url",
        a->status);
    return refuse(L, q, a, UQ_SCHEMA);
  default:
    break;
  }
  if (!check_schema(L, q, q->endpoint->schema, ""))
    return refuse(L, q, a, UQ_SCHEMA);
  long counted = uqL_json_convert_numbers(L, q->amounts);
  if (counted < 0) {
    const char *name =
        lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "array element";
    uqL_push_redacted(L, name, strlen(name), MAX_TEXT, &q->secrets, true);
    lua_pushfstring(L, "the answer's %s: %s", lua_tostring(L, -1),
                    out_of_range(q->amounts));
    return refuse(L, q, a, UQ_SCHEMA);
  }
  if ((size_t)counted != members) { /* the last one would win, unseen */
    lua_pushliteral(L, "the answer has two members of the same name");
    return refuse(L, q, a, UQ_DECODE);
  }
  if (q->endpoint->items != NULL)
    fill_list(L, "data");
  return true;
}

bool uqL_response_decode(lua_State *L, const struct uq_response_context *q,
                         const struct uq_response *a, struct uq_failure *f) {
  int top = lua_gettop(L);
  bool good;
  memset(f, 0, sizeof *f);
  if (a->kind != UQ_OK)
    good = judge_failure(L, q, a, f);
  else if (a->status == 200 || a->status == 201)
    good = judge_success(L, q, a, f);
  else
    good = judge_error_status(L, q, a, f);
  lua_insert(L, top + 1); /* the table; what led to it goes */
  lua_settop(L, top + 1);
  if (good)
    return true;
  f->retry_after = uq_retry_after(a->received.retry_after, uq_clock_unix());
  if (f->retry_after > 0) {
    lua_pushnumber(L, f->retry_after);
    lua_setfield(L, -2, "retry_after");
  }
  lua_pushboolean(L, uq_retryable(f));
  lua_setfield(L, -2, "retryable");
  return false;
}

bool uqL_response_read(lua_State *L, const struct uq_response_context *q,
                       char *text, size_t len) {
  struct uq_response a;
  struct uq_failure f;
  memset(&a, 0, sizeof a);
  a.kind = UQ_OK;
  a.status = 200;
  a.body.data = text;
  a.body.len = len;
  if (uqL_response_decode(L, q, &a, &f))
    return true;
  lua_getfield(L, -1, "message");
  lua_remove(L, -2);
  return false;
}
