/*
** http.c - drives src/engine/http: URLs, response headers, connections.
** SPDX-License-Identifier: MIT
*/
#include "driver.h"

#include "engine/http/connections.h"
#include "engine/http/latency.h"
#include "engine/http/response_headers.h"
#include "engine/http/url.h"

#define RESPONSE_HEADERS "engine.response_headers" /* metatables */
#define CONNECTIONS "engine.connections"
#define LATENCY "engine.latency"

/* ---- url ---------------------------------------------------------------- */

/* engine.check_url(url [, size]) -> host; or nil, why */
static int check_url(lua_State *L) {
  size_t size = (size_t)luaL_optinteger(L, 2, 256);
  const char *url = engine_text(L, 1);
  char *host = lua_newuserdata(L, size);
  const char *why = uq_url_check(url, host, size);
  if (why == NULL) {
    lua_pushstring(L, host);
    return 1;
  }
  lua_pushnil(L);
  lua_pushstring(L, why);
  return 2;
}

static int is_encrypted(lua_State *L) {
  lua_pushboolean(L, uq_url_encrypted(engine_text(L, 1)));
  return 1;
}

/* ---- response headers --------------------------------------------------- */

static int headers_new(lua_State *L) {
  engine_object(L, sizeof(struct uq_response_headers), RESPONSE_HEADERS);
  return 1;
}

/* headers:line(text [, keep = true]) -> taken */
static int headers_line(lua_State *L) {
  struct uq_response_headers *r = luaL_checkudata(L, 1, RESPONSE_HEADERS);
  bool keep = lua_isnoneornil(L, 3) || lua_toboolean(L, 3);
  size_t len;
  const char *line = engine_bytes(L, 2, &len);
  luaL_argcheck(L, len > 0, 2, "a line has its end at least");
  lua_pushboolean(L, uq_response_headers_line(r, line, len, keep));
  return 1;
}

/* headers:get(name) */
static int headers_get(lua_State *L) {
  static const char *const names[] = {"request_id", "retry_after", "location",
                                      "content_encoding", NULL};
  struct uq_response_headers *r = luaL_checkudata(L, 1, RESPONSE_HEADERS);
  const char *const values[] = {r->request_id, r->retry_after, r->location,
                                r->content_encoding};
  lua_pushstring(L, values[luaL_checkoption(L, 2, NULL, names)]);
  return 1;
}

static int headers_complete(lua_State *L) {
  struct uq_response_headers *r = luaL_checkudata(L, 1, RESPONSE_HEADERS);
  lua_pushboolean(L, r->complete);
  return 1;
}

static const luaL_Reg headers_methods[] = {{"line", headers_line},
                                           {"get", headers_get},
                                           {"complete", headers_complete},
                                           {NULL, NULL}};

/* ---- connections -------------------------------------------------------- */

/* engine.connections() */
static int connections_new(lua_State *L) {
  engine_object(L, sizeof(struct uq_connections), CONNECTIONS);
  return 1;
}

static struct uq_connections *to_connections(lua_State *L) {
  return luaL_checkudata(L, 1, CONNECTIONS);
}

/* connections:use(fd, now) */
static int connections_use(lua_State *L) {
  uq_connections_use(to_connections(L), (int)luaL_checkinteger(L, 2),
                     luaL_checknumber(L, 3));
  return 0;
}

/* connections:rest(fd, now, idle) */
static int connections_rest(lua_State *L) {
  uq_connections_rest(to_connections(L), (int)luaL_checkinteger(L, 2),
                      luaL_checknumber(L, 3), lua_toboolean(L, 4) != 0);
  return 0;
}

/* connections:touch(fd, now) */
static int connections_touch(lua_State *L) {
  uq_connections_touch(to_connections(L), (int)luaL_checkinteger(L, 2),
                       luaL_checknumber(L, 3));
  return 0;
}

/* connections:close(fd) */
static int connections_close(lua_State *L) {
  uq_connections_close(to_connections(L), (int)luaL_checkinteger(L, 2));
  return 0;
}

/* connections:shut(fd) */
static int connections_shut(lua_State *L) {
  uq_connections_shut(to_connections(L), (int)luaL_checkinteger(L, 2));
  return 0;
}

/* connections:shut_spoiled(now) -> boolean */
static int connections_shut_spoiled(lua_State *L) {
  lua_pushboolean(L, uq_connections_shut_spoiled(to_connections(L),
                                                 luaL_checknumber(L, 2)));
  return 1;
}

/* connections:have_dead() -> boolean */
static int connections_have_dead(lua_State *L) {
  lua_pushboolean(L, uq_connections_have_dead(to_connections(L)));
  return 1;
}

/* connections:count() */
static int connections_count(lua_State *L) {
  lua_pushinteger(L, uq_connections_in_use(to_connections(L)));
  return 1;
}

/* connections:find(port, address) -> fd or -1 */
static int connections_find(lua_State *L) {
  lua_pushinteger(L, uq_connections_find(to_connections(L),
                                         (int)luaL_checkinteger(L, 2),
                                         luaL_checkstring(L, 3)));
  return 1;
}

/* connections:of(fd, now) -> opened, heard, waited, port, shut; or nil */
static int connections_of(lua_State *L) {
  const struct uq_connection *c =
      uq_connections_of(to_connections(L), (int)luaL_checkinteger(L, 2));
  if (c == NULL) {
    lua_pushnil(L);
    return 1;
  }
  lua_pushnumber(L, c->opened);
  lua_pushnumber(L, c->heard);
  lua_pushnumber(L, uq_connection_waited(c, luaL_checknumber(L, 3)));
  lua_pushinteger(L, c->port);
  lua_pushboolean(L, c->shut);
  return 5;
}

static int connections_free(lua_State *L) {
  uq_connections_free(to_connections(L));
  return 0;
}

static const luaL_Reg connections_methods[] = {
    {"use", connections_use},
    {"rest", connections_rest},
    {"touch", connections_touch},
    {"close", connections_close},
    {"shut", connections_shut},
    {"shut_spoiled", connections_shut_spoiled},
    {"have_dead", connections_have_dead},
    {"count", connections_count},
    {"find", connections_find},
    {"of", connections_of},
    {NULL, NULL}};

/* ---- latency ------------------------------------------------------------ */

/* engine.latency() */
static int latency_new(lua_State *L) {
  engine_object(L, sizeof(struct uq_latency), LATENCY);
  return 1;
}

static struct uq_latency *to_latency(lua_State *L) {
  return luaL_checkudata(L, 1, LATENCY);
}

/* latency:note(took, now) */
static int latency_note(lua_State *L) {
  uq_latency_note(to_latency(L), luaL_checknumber(L, 2),
                  luaL_checknumber(L, 3));
  return 0;
}

/* latency:slowest(now) -> seconds */
static int latency_slowest(lua_State *L) {
  lua_pushnumber(L, uq_latency_slowest(to_latency(L), luaL_checknumber(L, 2)));
  return 1;
}

/* latency:learn(took) */
static int latency_learn(lua_State *L) {
  uq_latency_learn(to_latency(L), luaL_checknumber(L, 2));
  return 0;
}

/* latency:least() -> seconds */
static int latency_least(lua_State *L) {
  lua_pushnumber(L, to_latency(L)->least);
  return 1;
}

static const luaL_Reg latency_methods[] = {{"note", latency_note},
                                           {"slowest", latency_slowest},
                                           {"learn", latency_learn},
                                           {"least", latency_least},
                                           {NULL, NULL}};

static const luaL_Reg functions[] = {
    {"check_url", check_url},          {"is_encrypted", is_encrypted},
    {"response_headers", headers_new}, {"connections", connections_new},
    {"latency", latency_new},          {NULL, NULL}};

void engine_open_http(lua_State *L) {
  engine_class(L, RESPONSE_HEADERS, NULL, headers_methods);
  engine_class(L, CONNECTIONS, connections_free, connections_methods);
  engine_class(L, LATENCY, NULL, latency_methods);
  uqL_setfuncs(L, functions);
}
