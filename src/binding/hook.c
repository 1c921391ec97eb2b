/*
** hook.c - see hook.h.
** SPDX-License-Identifier: MIT
*/
#include "binding/hook.h"

#include "binding/auxlib.h"
#include "binding/calls.h"
#include "binding/client.h"
#include "binding/client_clock.h"
#include "binding/compat.h"
#include "binding/error.h"
#include "binding/options.h"
#include "engine/api/endpoint.h"
#include "engine/base/redact.h"
#include "engine/http/response_headers.h"
#include "engine/http/transfer.h"

static void set_number(lua_State *L, const char *name, double value) {
  lua_pushnumber(L, value);
  lua_setfield(L, -2, name);
}

/* Copies a field of the error table at from into the table at the top. */
static void copy_field(lua_State *L, int from, const char *name) {
  lua_getfield(L, from, name);
  lua_setfield(L, -2, name);
}

/* Calls the hook with the table at the top, and pops it. An error that it
** raises is only counted: a hook never changes a result. */
static void run_hook(lua_State *L, int idx, const char *name) {
  uqL_client_user_value(L, idx);
  lua_getfield(L, -1, name);
  lua_replace(L, -2);
  lua_insert(L, -2);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
    lua_pop(L, 1);
    struct uq_call *call = lua_touserdata(L, idx);
    call->client->stats.hook_errors++;
  }
}

/* Pushes the table that all hooks receive. */
static void push_info(lua_State *L, const struct uq_call *call, int attempt) {
  char url[UQ_URL_MAX];
  uq_endpoint_url(call->endpoint, call->client->options.base_url, call->query,
                  url);
  lua_newtable(L);
  uqL_error_set_string(L, "endpoint", call->endpoint->name);
  uqL_error_set_string(L, "method", call->endpoint->method);
  uqL_error_set_string(L, "url", url);
  uqL_error_set_string(L, "currency", call->options.currency);
  uqL_error_set_string(L, "on_behalf_of", call->options.on_behalf_of);
  uqL_error_set_string(L, "idempotency_key", call->key);
  lua_pushinteger(L, attempt);
  lua_setfield(L, -2, "attempt");
}

void uqL_hook_request(lua_State *L, int idx) {
  struct uq_call *call = lua_touserdata(L, idx);
  push_info(L, call, call->attempt.count + 1);
  run_hook(L, idx, "on_request");
}

void uqL_hook_response(lua_State *L, int idx, bool good,
                       const struct uq_secrets *secrets) {
  struct uq_call *call = lua_touserdata(L, idx);
  const struct uq_response *r = &call->response;
  int table = lua_gettop(L);
  push_info(L, call, call->attempt.count);
  set_number(L, "elapsed", uq_client_clock(call->client) - call->attempt.begun);
  if (r->status != 0) {
    lua_pushinteger(L, r->status);
    lua_setfield(L, -2, "status");
  }
  uqL_error_set_redacted(L, "request_id", r->received.request_id, secrets);
  if (!good) {
    copy_field(L, table, "kind");
    copy_field(L, table, "message");
  }
  run_hook(L, idx, "on_response");
}

void uqL_hook_retry(lua_State *L, int idx, double wait) {
  struct uq_call *call = lua_touserdata(L, idx);
  int table = lua_gettop(L);
  push_info(L, call, call->attempt.count);
  set_number(L, "wait", wait);
  copy_field(L, table, "status");
  copy_field(L, table, "kind");
  copy_field(L, table, "message");
  run_hook(L, idx, "on_retry");
}
