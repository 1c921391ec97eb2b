/*
** response.c - decodes a response: a result table that keeps the endpoint's
** schema, or an error table.
** SPDX-License-Identifier: MIT
*/
#include "binding/response.h"

#include <string.h>

#include "binding/api_error.h"
#include "binding/body_form.h"
#include "binding/error.h"
#include "binding/flat_response.h"
#include "binding/json.h"
#include "binding/response_error.h"
#include "binding/schema.h"
#include "engine/api/endpoint.h"
#include "engine/base/buf.h"
#include "engine/base/error_kind.h"
#include "engine/http/response_headers.h"
#include "engine/http/transfer.h"
#include "engine/number/retry_after.h"
#include "engine/policy/retry.h"

#define MAX_NAME 128 /* bytes of a member's name in a message */

/* Converts the numbers of the checked table at the top, which the JSON text had
** so many members for. False: pushes an error table. */
static bool convert_numbers(lua_State *L,
                            const struct uq_response_context *context,
                            const struct uq_response *response,
                            size_t members) {
  long counted = uqL_json_convert_numbers(L, context->amounts);
  if (counted < 0) {
    const char *name =
        lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "array element";
    uqL_push_redacted(L, name, strlen(name), MAX_NAME, &context->secrets, true);
    lua_pushfstring(L, "the answer's %s: %s", lua_tostring(L, -1),
                    uq_schema_out_of_range(context->amounts));
    return uqL_response_error(L, context, response, UQ_SCHEMA);
  }
  if ((size_t)counted != members) { /* the last one would win, unseen */
    lua_pushliteral(L, "the answer has two members of the same name");
    return uqL_response_error(L, context, response, UQ_DECODE);
  }
  return true;
}

/* Sets the field of the table at the top to an empty list if it is absent. */
static void fill_list(lua_State *L, const char *name) {
  lua_getfield(L, -1, name);
  if (lua_isnil(L, -1)) {
    lua_newtable(L);
    lua_setfield(L, -3, name);
  }
  lua_pop(L, 1);
}

/* Decodes the table of a success status at the top. */
static bool decode_table(lua_State *L,
                         const struct uq_response_context *context,
                         const struct uq_response *response, size_t members,
                         struct uq_failure *failure) {
  const struct uq_endpoint *e = context->endpoint;
  int status;
  switch (uqL_body_form(L, e, &status)) {
  case UQ_BODY_ERROR:
    return uqL_api_error_of_body(L, context, response, status, failure);
  case UQ_BODY_WRAPPED:
    lua_pushfstring(L,
                    "HTTP %d, but its body is {code, message, data}, as "
                    "another generation of the API answers: see base_url",
                    response->status);
    return uqL_response_error(L, context, response, UQ_SCHEMA);
  case UQ_BODY_RESULT:
    break;
  }
  if (!uqL_schema_check(L, context))
    return uqL_response_error(L, context, response, UQ_SCHEMA);
  if (!convert_numbers(L, context, response, members))
    return false;
  if (e->items != NULL)
    fill_list(L, "data");
  return true;
}

static bool decode_success(lua_State *L,
                           const struct uq_response_context *context,
                           const struct uq_response *response,
                           struct uq_failure *failure) {
  const struct uq_buf *body = &response->body;
  size_t members = 0;
  if (body->len == 0) {
    lua_pushfstring(L, "HTTP %d with an empty body", response->status);
    return uqL_response_error_not_json(L, context, response, failure);
  }
  if (uqL_flat_response_decode(L, context, body->data, body->len))
    return true;
  if (context->token != NULL)
    uq_buf_free(context->token);
  if (!uqL_json_decode(L, body->data, body->len, false, context->scratch,
                       &members)) {
    uqL_response_push_hint(L, context, response);
    lua_pushfstring(L, "HTTP %d, but its body is no JSON: %s%s",
                    response->status, lua_tostring(L, -2), lua_tostring(L, -1));
    return uqL_response_error_not_json(L, context, response, failure);
  }
  if (!lua_istable(L, -1)) {
    lua_pushfstring(L, "HTTP %d, but its body is no JSON object",
                    response->status);
    return uqL_response_error(L, context, response, UQ_SCHEMA);
  }
  return decode_table(L, context, response, members, failure);
}

static bool decode(lua_State *L, const struct uq_response_context *context,
                   const struct uq_response *response,
                   struct uq_failure *failure) {
  if (response->kind != UQ_OK)
    return uqL_response_error_missing(L, context, response, failure);
  if (response->status == 200 || response->status == 201)
    return decode_success(L, context, response, failure);
  return uqL_api_error_of_status(L, context, response, failure);
}

bool uqL_response_decode(lua_State *L,
                         const struct uq_response_context *context,
                         const struct uq_response *response,
                         struct uq_failure *failure) {
  int top = lua_gettop(L);
  memset(failure, 0, sizeof *failure);
  bool good = decode(L, context, response, failure);
  lua_insert(L, top + 1); /* the table; what led to it goes */
  lua_settop(L, top + 1);
  if (good)
    return true;
  failure->retry_after =
      uq_retry_after(response->received.retry_after, context->now);
  if (failure->retry_after > 0) {
    lua_pushnumber(L, failure->retry_after);
    lua_setfield(L, -2, "retry_after");
  }
  lua_pushboolean(L, uq_retryable(failure));
  lua_setfield(L, -2, "retryable");
  return false;
}

bool uqL_response_decode_text(lua_State *L,
                              const struct uq_response_context *context,
                              char *text, size_t len) {
  struct uq_response response;
  struct uq_failure failure;
  memset(&response, 0, sizeof response);
  response.kind = UQ_OK;
  response.status = 200;
  response.body.data = text;
  response.body.len = len;
  if (uqL_response_decode(L, context, &response, &failure))
    return true;
  lua_getfield(L, -1, "message");
  lua_remove(L, -2);
  return false;
}
