/*
** client.c - see client.h.
** SPDX-License-Identifier: MIT
*/
#include "binding/client.h"

#include <string.h>

#include "binding/auxlib.h"
#include "binding/batch.h"
#include "binding/call.h"
#include "binding/call_options.h"
#include "binding/calls.h"
#include "binding/client_clock.h"
#include "binding/client_options.h"
#include "binding/compat.h"
#include "binding/error.h"
#include "binding/options.h"
#include "binding/token.h"
#include "binding/token_store.h"
#include "engine/api/endpoint.h"
#include "engine/base/ascii.h"
#include "engine/base/buf.h"
#include "engine/http/transport.h"
#include "engine/http/transport_options.h"
#include "engine/policy/rate_limiter.h"
#include "engine/policy/run_queue.h"

/* Bytes that the buffers of secrets have room for; the options have smaller
** limits. */
#define MAX_TOKEN_TEXT 16384
#define MAX_API_KEY 1024

static struct uq_client *check_client(lua_State *L) {
  struct uq_client *c = uqL_self(L, UQ_CLIENT, "client");
  if (c->transport != NULL)
    uqL_client_clock_read(L, c, 1); /* it may close the client */
  if (c->transport == NULL)
    luaL_error(L, UQ_CLOSED);
  return c;
}

/* close(), __gc and __close: ends the calls in flight, then the transport. If
** uqpay.new has failed there is no transport, but maybe a token. */
static int client_close(lua_State *L) {
  struct uq_client *c = uqL_self(L, UQ_CLIENT, "client");
  struct uq_transport *transport = c->transport;
  uq_calls_close(c);
  c->transport = NULL;
  uq_buf_free(&c->token.text);
  uq_buf_free(&c->token.refused);
  uq_buf_free(&c->api_key);
  uq_wipe(&c->sent_keys, sizeof c->sent_keys);
  if (transport == NULL)
    return 0;
  if (uq_transport_forked(transport))
    c->store.locked = false; /* the lock is the parent's */
  uq_transport_free(transport);
  uqL_get_user_value(L, 1);
  uqL_token_store_end(L, c, lua_gettop(L)); /* the last: it may raise */
  return 0;
}

static int client_tostring(lua_State *L) {
  struct uq_client *c = luaL_checkudata(L, 1, UQ_CLIENT);
  if (c->transport == NULL)
    lua_pushliteral(L, "uqpay.client (closed)");
  else
    lua_pushfstring(L, "uqpay.client (%s)", c->host);
  return 1;
}

/* The endpoint of the method that runs: its second upvalue. The first is the
** method's name. */
static const struct uq_endpoint *method_endpoint(lua_State *L) {
  return &uq_endpoints[lua_tointeger(L, lua_upvalueindex(2))];
}

/* client:balance(currency [, options]), client:balance{...},
** client:transactions{...} and so on: blocks up to the timeout. */
static int client_call(lua_State *L) {
  struct uq_client *c = check_client(L);
  const struct uq_endpoint *e = method_endpoint(L);
  struct uq_options o = c->options;
  if (!uqL_call_options(L, 2, e, e->name, &o))
    return uqL_call_refuse(L, e, &o);
  return uqL_call_run(L, 1, e, &o);
}

/* Pushes the call object of a method that does not wait. listed: client:ready
** may return it. */
static int start_call(lua_State *L, bool listed) {
  struct uq_client *c = check_client(L);
  const struct uq_endpoint *e = method_endpoint(L);
  struct uq_options o = c->options;
  if (uqL_call_options(L, 2, e, lua_tostring(L, lua_upvalueindex(1)), &o))
    uqL_call_start(L, 1, e, &o, listed);
  else
    uqL_call_start_refused(L, 1, e, &o);
  return 1;
}

/* client:start_balance(...) and so on: the same without waiting; a call object.
 */
static int client_start(lua_State *L) { return start_call(L, true); }

/* The same for our Lua files, which know what waits for the call. */
static int start_unlisted(lua_State *L) { return start_call(L, false); }

/* client:invalidate_token(): the next call gets a new one. */
static int client_invalidate_token(lua_State *L) {
  struct uq_client *c = check_client(L);
  if (!c->token.function && c->api_key.len == 0)
    return luaL_error(L, "the token of this client is fixed");
  uq_token_drop(&c->token);
  return 0;
}

/* client:batch(queries [, options]) -> an iterator: see batch.h. */
static int client_batch(lua_State *L) {
  check_client(L);
  return uqL_batch(L);
}

/* client:each_transaction{...} and so on: see uqpay/pages.lua. A refused value
** is the failure of the first page. */
static int client_each(lua_State *L) {
  struct uq_client *c = check_client(L);
  const struct uq_endpoint *e = method_endpoint(L);
  struct uq_options o = c->options;
  if (lua_isnone(L, 2))
    lua_pushnil(L);
  bool good = uqL_call_options(L, 2, e, e->each, &o);
  if (!good)
    uqL_call_refuse(L, e, &o);
  lua_insert(L, 3); /* the query, or the error table */
  lua_settop(L, 3);
  lua_pushstring(L, e->each);
  lua_pushstring(L, e->name);
  lua_pushstring(L, e->items->name);
  if (good)
    lua_pushnil(L);
  else
    lua_pushvalue(L, 3);
  lua_remove(L, 3);
  uqL_require(L, "uqpay.pages");
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  return lua_gettop(L);
}

/* client:step([seconds]) -> true if a call can be stepped. Processes what the
** network has brought; waits for it for at most so long, by default not. */
static int client_step(lua_State *L) {
  struct uq_client *c = check_client(L);
  double limit = (double)luaL_optnumber(L, 2, 0);
  luaL_argcheck(L, limit >= 0 && limit <= UQ_TIMEOUT_MAX, 2,
                "seconds from 0 to " UQ_DIGITS_OF(UQ_TIMEOUT_MAX) " expected");
  lua_pushboolean(L, uqL_calls_wait(L, c, 1, limit));
  uq_calls_publish(c, false);
  return 1;
}

/* client:ready() -> a call object that is due; nil: none. Each is
** reported once. */
static int client_ready(lua_State *L) {
  struct uq_client *c = check_client(L);
  double id;
  uqL_get_user_value(L, 1);
  lua_getfield(L, -1, "calls");
  while ((id = uq_calls_next(c)) != 0) {
    uqL_pushcount(L, id);
    lua_rawget(L, -2);
    if (!lua_isnil(L, -1)) /* else it is not listed, or about to be collected */
      return 1;
    lua_pop(L, 1);
  }
  lua_pushnil(L);
  return 1;
}

/* client:pollfd() -> one descriptor for all calls, readable when client:step
** has something to do; nil: none. */
static int client_pollfd(lua_State *L) {
  int fd = uqL_calls_fd(L, check_client(L));
  if (fd < 0)
    lua_pushnil(L);
  else
    lua_pushinteger(L, fd);
  return 1;
}

/* client:events() -> "r": what to wait for on the descriptor. */
static int client_events(lua_State *L) {
  check_client(L);
  lua_pushliteral(L, "r");
  return 1;
}

/* client:timeout() -> seconds after which client:step is due, even if the
** descriptor is not readable; nil: no such time. */
static int client_timeout(lua_State *L) {
  const struct uq_client *c = check_client(L);
  double due = uq_calls_due(c);
  double left = due - uq_client_clock(c);
  if (due < 0)
    lua_pushnil(L);
  else
    lua_pushnumber(L, left > 0 ? left : 0);
  return 1;
}

/* client:stats() -> counters since the client was made. */
static int client_stats(lua_State *L) {
  const struct uq_stats *s = &check_client(L)->stats;
  lua_newtable(L);
  uqL_set_count(L, "calls", s->calls);
  uqL_set_count(L, "succeeded", s->succeeded);
  uqL_set_count(L, "failed", s->failed);
  uqL_set_count(L, "attempts", s->attempts);
  uqL_set_count(L, "retries", s->retries);
  uqL_set_count(L, "connections", s->connections);
  uqL_set_count(L, "logins", s->logins);
  uqL_set_count(L, "hook_errors", s->hook_errors);
  return 1;
}

/* Pushes a table with weak values. */
static void push_weak_table(lua_State *L) {
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "v");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
}

int uqL_client_new(lua_State *L) {
  uqL_check_dot(L, "new", "{...}");
  lua_settop(L, 1);
  uqL_argument_table(L, 1, 1, "new");
  struct uq_client *c = lua_newuserdata(L, sizeof *c);
  memset(c, 0, sizeof *c);
  uq_run_queue_init(&c->queue);
  luaL_getmetatable(L, UQ_CLIENT);
  lua_setmetatable(L, 2);
  lua_createtable(L, 2, 5);
  lua_pushvalue(L, -1);
  uqL_set_user_value(L, 2);
  push_weak_table(L); /* call objects by id, for client:ready */
  lua_setfield(L, -2, "calls");
  lua_pushvalue(L, 2);
  lua_setfield(L, -2, "client"); /* calls keep this table, and so the client */
  lua_pushboolean(L, 0);
  lua_rawseti(L, -2, UQ_USER_VALUE_CACHED_CALL);
  lua_pushboolean(L, 0);
  lua_rawseti(L, -2, UQ_USER_VALUE_LOGIN);
  uq_buf_init(&c->token.text, MAX_TOKEN_TEXT);
  uq_buf_init(&c->api_key, MAX_API_KEY);
  uqL_client_options(L, 1, c); /* if it raises, __gc frees the token */
  const struct uq_options *o = &c->options;
  struct uq_transport_options transport = {
      o->ca_file,
      o->ca_path,
      o->pinned_public_key,
      o->proxy,
      (enum uq_http_version)o->http_version,
      uq_call_done};
  uq_rate_limiter_init(&c->limiter, o->rate_limit);
  uq_rate_limiter_init(&c->login.limiter, o->login_limit);
  c->transport = uq_transport_new(&transport);
  if (c->transport == NULL)
    return uqL_no_memory(L);
  lua_settop(L, 2);
  uqL_client_clock_start(L, c, 2);
  return 1;
}

static const luaL_Reg metamethods[] = {{"__gc", client_close},
                                       {"__close", client_close},
                                       {"__tostring", client_tostring},
                                       {NULL, NULL}};

static const luaL_Reg methods[] = {
    {"batch", client_batch},     {"invalidate_token", client_invalidate_token},
    {"step", client_step},       {"ready", client_ready},
    {"pollfd", client_pollfd},   {"events", client_events},
    {"timeout", client_timeout}, {"close", client_close},
    {"stats", client_stats},     {NULL, NULL}};

/* Pushes a method of an endpoint, which calls itself by that name. */
static void push_method(lua_State *L, lua_CFunction method, const char *name,
                        int endpoint) {
  lua_pushstring(L, name);
  lua_pushinteger(L, endpoint);
  lua_pushcclosure(L, method, 2);
}

void uqL_client_push_start(lua_State *L, int endpoint) {
  push_method(L, start_unlisted, uq_endpoints[endpoint].name, endpoint);
}

/* Sets the methods of an endpoint in the table at the top. */
static void set_methods(lua_State *L, int endpoint) {
  const struct uq_endpoint *e = &uq_endpoints[endpoint];
  push_method(L, client_call, e->name, endpoint);
  lua_setfield(L, -2, e->name);
  const char *start = lua_pushfstring(L, "start_%s", e->name);
  push_method(L, client_start, start, endpoint);
  lua_rawset(L, -3);
  if (e->each != NULL) {
    push_method(L, client_each, e->each, endpoint);
    lua_setfield(L, -2, e->each);
  }
}

void uqL_client_open(lua_State *L) {
  uqL_class(L, UQ_CLIENT, metamethods, methods);
  luaL_getmetatable(L, UQ_CLIENT);
  lua_getfield(L, -1, "__index");
  for (int i = 0; i < UQ_ENDPOINT_COUNT; i++)
    set_methods(L, i);
  lua_pop(L, 2);
}
