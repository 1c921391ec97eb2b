/*
** client.c - the client userdata: its making, its methods, its end.
** SPDX-License-Identifier: MIT
*/
#include <string.h>

#include "uqpay.h"

static struct uq_client *check_client(lua_State *L) {
  struct uq_client *c = luaL_checkudata(L, 1, UQ_CLIENT);
  if (c->transport == NULL)
    luaL_error(L, UQ_CLOSED);
  return c;
}

/* close(), __gc and __close: ends the calls in flight, then the transport. A
** client that was never finished has no transport, but may have a token. */
static int client_close(lua_State *L) {
  struct uq_client *c = luaL_checkudata(L, 1, UQ_CLIENT);
  struct uq_transport *transport = c->transport;
  uq_call_cancel_all(c);
  c->transport = NULL;
  if (transport != NULL)
    uq_transport_free(transport);
  uq_buf_free(&c->token);
  uq_wipe(c->keys, sizeof c->keys);
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

/* client:balance(currency [, options]) or client:balance{...}: blocks up to the
** timeout. Retrieve Issuing Balance. */
static int client_balance(lua_State *L) {
  struct uq_client *c = check_client(L);
  struct uq_options o = c->options;
  uqL_options_call(L, 2, "balance", &o);
  uqL_call_new(L, 1, &uq_endpoint_balance, &o);
  return uqL_call_run(L, lua_gettop(L));
}

static void set_count(lua_State *L, const char *name, double value) {
  if (!uqL_pushint64(L, (long long)value))
    lua_pushnumber(L, value);
  lua_setfield(L, -2, name);
}

/* client:stats(): what the client has done so far. */
static int client_stats(lua_State *L) {
  const struct uq_stats *s = &check_client(L)->stats;
  lua_newtable(L);
  set_count(L, "calls", s->calls);
  set_count(L, "succeeded", s->succeeded);
  set_count(L, "failed", s->failed);
  set_count(L, "attempts", s->attempts);
  set_count(L, "retries", s->retries);
  set_count(L, "connections", s->connections);
  set_count(L, "hook_errors", s->hook_errors);
  return 1;
}

int uqL_client_new(lua_State *L) {
  lua_settop(L, 1);
  luaL_checktype(L, 1, LUA_TTABLE);
  struct uq_client *c = lua_newuserdata(L, sizeof *c);
  memset(c, 0, sizeof *c);
  luaL_getmetatable(L, UQ_CLIENT);
  lua_setmetatable(L, 2);
  lua_newtable(L);
  lua_pushvalue(L, -1);
  uqL_setpeer(L, 2);
  lua_pushvalue(L, 2);
  lua_setfield(L, -2, "client"); /* a call holds this table, and so us */
  uq_buf_init(&c->token, 16384);
  uqL_options_new(L, 1, c); /* may raise: __gc must free the token */
  const struct uq_options *o = &c->options;
  struct uq_transport_options transport = {
      o->ca_file, o->ca_path,    o->pinned_public_key,
      o->proxy,   o->user_agent, (enum uq_http_version)o->http_version};
  c->transport = uq_transport_new(&transport);
  if (c->transport == NULL)
    return luaL_error(L, "not enough memory");
  lua_settop(L, 2);
  return 1;
}

static const luaL_Reg metamethods[] = {{"__gc", client_close},
                                       {"__close", client_close},
                                       {"__tostring", client_tostring},
                                       {NULL, NULL}};

static const luaL_Reg methods[] = {{"balance", client_balance},
                                   {"close", client_close},
                                   {"stats", client_stats},
                                   {NULL, NULL}};

void uqL_client_open(lua_State *L) {
  luaL_newmetatable(L, UQ_CLIENT);
  uqL_setfuncs(L, metamethods);
  lua_newtable(L);
  uqL_setfuncs(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pushliteral(L, UQ_CLIENT);
  lua_setfield(L, -2, "__name");
  lua_pop(L, 1);
}
