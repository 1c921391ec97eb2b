/*
** internal.c - see internal.h.
** SPDX-License-Identifier: MIT
*/
#include "binding/internal.h"

#include "binding/auxlib.h"
#include "binding/batch.h"
#include "binding/call.h"
#include "binding/call_options.h"
#include "binding/calls.h"
#include "binding/client.h"
#include "binding/compat.h"
#include "binding/custom_transport.h"
#include "binding/error.h"
#include "binding/options.h"
#include "binding/response.h"
#include "binding/response_context.h"
#include "binding/shared_limit.h"
#include "engine/api/endpoint.h"
#include "engine/base/buf.h"
#include "engine/base/clock.h"
#include "engine/base/error_kind.h"
#include "engine/http/transport.h"

/* ------------------------------------------------------------------------ */
/* the state                                                                 */
/* ------------------------------------------------------------------------ */

/* clock() -> seconds on the monotonic clock. */
static int internal_clock(lua_State *L) {
  lua_pushnumber(L, uq_clock());
  return 1;
}

/* yieldable() -> true if the caller can yield. nginx hides LuaJIT's own
 * function.
 */
static int internal_yieldable(lua_State *L) {
  lua_pushboolean(L, uqL_yieldable(L));
  return 1;
}

/* ------------------------------------------------------------------------ */
/* methods                                                                   */
/* ------------------------------------------------------------------------ */

/* starters() -> by the name of each method that makes a call, a
** function(client, ...) that starts it: see uqL_client_push_start. */
static int internal_starters(lua_State *L) {
  lua_createtable(L, 0, UQ_ENDPOINT_COUNT);
  for (int i = 0; i < UQ_ENDPOINT_COUNT; i++) {
    uqL_client_push_start(L, i);
    lua_setfield(L, -2, uq_endpoints[i].name);
  }
  return 1;
}

/* iterators() -> by the name of each iterator over a list, the name of the
** endpoint that has the list. */
static int internal_iterators(lua_State *L) {
  lua_newtable(L);
  for (int i = 0; i < UQ_ENDPOINT_COUNT; i++) {
    if (uq_endpoints[i].each == NULL)
      continue;
    lua_pushstring(L, uq_endpoints[i].name);
    lua_setfield(L, -2, uq_endpoints[i].each);
  }
  return 1;
}

/* call(f, ...) -> f(...), for a function of C. An error message gets the
** position of the line that called the caller: users know that by f's name. */
static int internal_call(lua_State *L) {
  int status = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
  if (status == LUA_OK)
    return lua_gettop(L);
  if (status == LUA_ERRRUN && lua_type(L, -1) == LUA_TSTRING) {
    luaL_where(L, 2);
    lua_insert(L, -2);
    lua_concat(L, 2);
  }
  return lua_error(L);
}

/* ------------------------------------------------------------------------ */
/* clients                                                                   */
/* ------------------------------------------------------------------------ */

/* user_value(client) -> the table that lives as long as the client. */
static int internal_user_value(lua_State *L) {
  luaL_checkudata(L, 1, UQ_CLIENT);
  uqL_get_user_value(L, 1);
  return 1;
}

/* closed(client) -> true if the client is closed. */
static int internal_closed(lua_State *L) {
  struct uq_client *c = luaL_checkudata(L, 1, UQ_CLIENT);
  lua_pushboolean(L, c->transport == NULL);
  return 1;
}

/* budget(client) -> timeout and max_retries of the client's options. */
static int internal_budget(lua_State *L) {
  const struct uq_client *c = luaL_checkudata(L, 1, UQ_CLIENT);
  lua_pushnumber(L, c->options.timeout);
  lua_pushinteger(L, c->options.max_retries);
  return 2;
}

/* next_due(client) -> the id of a call or batch that is due, reported once;
** nil: none. */
static int internal_next_due(lua_State *L) {
  double id = uq_calls_next(luaL_checkudata(L, 1, UQ_CLIENT));
  if (id != 0)
    uqL_pushcount(L, id);
  else
    lua_pushnil(L);
  return 1;
}

/* pass(client, id): next_due gave the id to a consumer that does not wait for
** it. See uq_calls_pass. */
static int internal_pass(lua_State *L) {
  uq_calls_pass(luaL_checkudata(L, 1, UQ_CLIENT), luaL_checknumber(L, 2));
  return 0;
}

/* recall(client): see uq_calls_recall. */
static int internal_recall(lua_State *L) {
  uq_calls_recall(luaL_checkudata(L, 1, UQ_CLIENT));
  return 0;
}

/* idle(client) -> uq_calls_idle; nil: the client has no calls. */
static int internal_idle(lua_State *L) {
  const struct uq_client *c = luaL_checkudata(L, 1, UQ_CLIENT);
  if (c->calls != NULL)
    lua_pushnumber(L, uq_calls_idle(c));
  else
    lua_pushnil(L);
  return 1;
}

/* notify_of_time(client): see uq_calls_notify_of_time. */
static int internal_notify_of_time(lua_State *L) {
  uq_calls_notify_of_time(luaL_checkudata(L, 1, UQ_CLIENT));
  return 0;
}

/* pass_time(client): see uqL_calls_pass_time. */
static int internal_pass_time(lua_State *L) {
  struct uq_client *c = luaL_checkudata(L, 1, UQ_CLIENT);
  if (c->transport != NULL)
    uqL_calls_pass_time(L, c, 1);
  return 0;
}

/* limit(client, connections, slice): see uq_transport_limit. */
static int internal_limit(lua_State *L) {
  struct uq_client *c = luaL_checkudata(L, 1, UQ_CLIENT);
  long connections = (long)luaL_checkinteger(L, 2);
  if (c->transport != NULL)
    uq_transport_limit(c->transport, connections, luaL_checknumber(L, 3));
  return 0;
}

/* share_rate_limit(client, make): make(limit), 0 for none, returns the
** functions that share the limit and pauses with other processes: take,
** announce and pause. See shared_limit.h. */
static int internal_share_rate_limit(lua_State *L) {
  struct uq_client *c = luaL_checkudata(L, 1, UQ_CLIENT);
  lua_settop(L, 2);
  lua_pushinteger(L, c->options.rate_limit);
  lua_call(L, 1, 3);
  uqL_shared_limit_keep(L, c, 1);
  return 0;
}

/* hook_failed(client): counts an error that a function of the user has raised.
 */
static int internal_hook_failed(lua_State *L) {
  struct uq_client *c = luaL_checkudata(L, 1, UQ_CLIENT);
  c->stats.hook_errors++;
  return 0;
}

/* ------------------------------------------------------------------------ */
/* calls                                                                     */
/* ------------------------------------------------------------------------ */

/* wait(call): blocks until the call object is over. */
static int internal_wait(lua_State *L) {
  luaL_checkudata(L, 1, UQ_CALL);
  uqL_call_wait(L, 1);
  return 0;
}

/* stepping(call) -> true if a step of the call runs, which is so within its
** hooks. call may be nil. */
static int internal_stepping(lua_State *L) {
  const struct uq_call *call = lua_touserdata(L, 1);
  lua_pushboolean(L, call != NULL && call->stepped);
  return 1;
}

/* keep_text(call): keeps the body of the response, for text(), if the call
** object succeeds. Must be called before it is over. */
static int internal_keep_text(lua_State *L) {
  struct uq_call *call = luaL_checkudata(L, 1, UQ_CALL);
  call->keep_text = call->is_object;
  return 0;
}

/* text(call) -> that body, as it came; nil: the call is not over, or has
 * failed.
 */
static int internal_text(lua_State *L) {
  const struct uq_call *call = luaL_checkudata(L, 1, UQ_CALL);
  lua_settop(L, 1);
  lua_pushnil(L);
  if (call->results != 1) /* a failure has three */
    return 1;
  uqL_get_user_value(L, 1);
  lua_getfield(L, -1, "text");
  return 1;
}

/* ------------------------------------------------------------------------ */
/* errors                                                                    */
/* ------------------------------------------------------------------------ */

/* error(kind, message) -> an error table with these two fields. Raises for an
** unknown kind. */
static int internal_error(lua_State *L) {
  enum uq_kind kind = uq_kind_named(luaL_checkstring(L, 1));
  luaL_checkstring(L, 2);
  if (kind == UQ_OK)
    return luaL_error(L, "unknown kind of error: '%s'", lua_tostring(L, 1));
  lua_settop(L, 2);
  uqL_error_new(L, kind);
  return 1;
}

/* page_error(client, endpoint, message, kind, requests, elapsed) -> the error
** table for inconsistent pages: "schema", or "conflict" if the list changed
** between two of them. */
static int internal_page_error(lua_State *L) {
  static const char *const names[] = {"schema", "conflict", NULL};
  static const enum uq_kind kinds[] = {UQ_SCHEMA, UQ_CONFLICT};
  struct uq_client *c = luaL_checkudata(L, 1, UQ_CLIENT);
  const char *endpoint = luaL_checkstring(L, 2);
  luaL_checkstring(L, 3);
  enum uq_kind kind = kinds[luaL_checkoption(L, 4, NULL, names)];
  int requests = (int)luaL_checkinteger(L, 5);
  lua_settop(L, 6);
  lua_pushfstring(L, "%s [%s, %d request%s]", lua_tostring(L, 3), c->host,
                  requests, requests == 1 ? "" : "s");
  uqL_error_new(L, kind);
  uqL_error_set_string(L, "endpoint", endpoint);
  lua_pushinteger(L, requests);
  lua_setfield(L, -2, "attempts");
  lua_pushvalue(L, 6);
  lua_setfield(L, -2, "elapsed");
  lua_pushboolean(L, kind == UQ_CONFLICT);
  lua_setfield(L, -2, "retryable");
  return 1;
}

/* local_error(endpoint, message [, elapsed]) -> the error table of a call that
** was not sent: kind "config", or "timeout" if elapsed seconds are given. */
static int internal_local_error(lua_State *L) {
  const char *endpoint = luaL_checkstring(L, 1);
  luaL_checkstring(L, 2);
  bool late = !lua_isnoneornil(L, 3);
  lua_settop(L, 3);
  lua_pushvalue(L, 2);
  uqL_error_unsent(L, late ? UQ_TIMEOUT : UQ_CONFIG);
  uqL_error_set_string(L, "endpoint", endpoint);
  if (late) {
    lua_pushvalue(L, 3);
    lua_setfield(L, -2, "elapsed");
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, "retryable");
  }
  return 1;
}

/* ------------------------------------------------------------------------ */
/* balances out of a cache                                                   */
/* ------------------------------------------------------------------------ */

/* parse_query(client, method, ...) -> what client:balance(...) would send:
** currency, account ("": none), amounts (a number), timeout, true if it has a
** key of its own, and max_retries; nil, message and error if a value is wrong.
** Raises what the method of that name would. */
static int internal_parse_query(lua_State *L) {
  struct uq_client *c = luaL_checkudata(L, 1, UQ_CLIENT);
  struct uq_options o = c->options;
  if (!uqL_call_options(L, 3, UQ_ENDPOINT_BALANCE, luaL_checkstring(L, 2), &o))
    return uqL_call_refuse(L, UQ_ENDPOINT_BALANCE, &o);
  lua_pushstring(L, o.currency);
  lua_pushstring(L, o.on_behalf_of);
  lua_pushinteger(L, o.amounts);
  lua_pushnumber(L, o.timeout);
  lua_pushboolean(L, o.idempotency_key[0] != '\0');
  lua_pushinteger(L, o.max_retries);
  return 6;
}

#define SCRATCH "uqpay.scratch" /* metatable */

static int scratch_gc(lua_State *L) {
  uq_buf_free(luaL_checkudata(L, 1, SCRATCH));
  return 0;
}

/* Pushes a buffer for the JSON library. */
static struct uq_buf *push_scratch(lua_State *L) {
  struct uq_buf *b = lua_newuserdata(L, sizeof *b);
  uq_buf_init(b, 0);
  luaL_getmetatable(L, SCRATCH);
  lua_setmetatable(L, -2);
  return b;
}

/* decode(client, currency, amounts, text) -> the balance that a call would have
** returned for a response with that body; nil and a message if it would have
** failed. Raises if the client is closed. */
static int internal_decode(lua_State *L) {
  const struct uq_client *c = luaL_checkudata(L, 1, UQ_CLIENT);
  const char *currency = luaL_checkstring(L, 2);
  int amounts = (int)luaL_checkinteger(L, 3);
  size_t len;
  const char *text = luaL_checklstring(L, 4, &len);
  if (c->transport == NULL)
    return luaL_error(L, UQ_CLOSED);
  lua_settop(L, 4);
  struct uq_response_context context = {.endpoint = UQ_ENDPOINT_BALANCE,
                                        .query = "",
                                        .currency = currency,
                                        .amounts = amounts,
                                        .scratch = push_scratch(L)};
  if (uqL_response_decode_text(L, &context, (char *)text, len))
    return 1;
  return uqL_push_nil_message(L);
}

/* ------------------------------------------------------------------------ */
/* the module                                                                */
/* ------------------------------------------------------------------------ */

static const luaL_Reg functions[] = {
    {"clock", internal_clock},
    {"yieldable", internal_yieldable},
    {"starters", internal_starters},
    {"iterators", internal_iterators},
    {"call", internal_call},
    {"user_value", internal_user_value},
    {"closed", internal_closed},
    {"budget", internal_budget},
    {"next_due", internal_next_due},
    {"pass", internal_pass},
    {"recall", internal_recall},
    {"idle", internal_idle},
    {"pass_time", internal_pass_time},
    {"notify_of_time", internal_notify_of_time},
    {"answer", uqL_custom_transport_answer},
    {"limit", internal_limit},
    {"share_rate_limit", internal_share_rate_limit},
    {"hook_failed", internal_hook_failed},
    {"wait", internal_wait},
    {"stepping", internal_stepping},
    {"keep_text", internal_keep_text},
    {"text", internal_text},
    {"batch_next", uqL_batch_next},
    {"batch_query", uqL_batch_query},
    {"batch_wait", uqL_batch_wait},
    {"batch_info", uqL_batch_info},
    {"batch_hook_failed", uqL_batch_hook_failed},
    {"batch_close", uqL_batch_close},
    {"error", internal_error},
    {"page_error", internal_page_error},
    {"local_error", internal_local_error},
    {"parse_query", internal_parse_query},
    {"decode", internal_decode},
    {NULL, NULL}};

UQ_EXPORT int luaopen_uqpay_internal(lua_State *L) {
  luaL_newmetatable(L, SCRATCH);
  lua_pushcfunction(L, scratch_gc);
  lua_setfield(L, -2, "__gc");
  lua_newtable(L);
  uqL_setfuncs(L, functions);
  return 1;
}
