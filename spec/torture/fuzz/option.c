/*
** option.c - option tables of uqpay.new and of calls (src/binding/options.c,
** client_options.c, call_options.c, query.c). The bytes are, repeatedly, the
** number of a name, of a type of value, and the value. The options are
** accepted, or an error names one; no error shows a token.
** SPDX-License-Identifier: MIT
*/
#include "state.h"

#include <math.h>

#include "binding/call_options.h"
#include "binding/client.h"
#include "binding/compat.h"
#include "binding/options.h"
#include "engine/api/endpoint.h"

static const char *const names[] = {"environment",
                                    "base_url",
                                    "token",
                                    "client_id",
                                    "api_key",
                                    "token_store",
                                    "on_behalf_of",
                                    "currency",
                                    "idempotency_key",
                                    "allow_key_reuse",
                                    "timeout",
                                    "connect_timeout",
                                    "max_retries",
                                    "retry_delay",
                                    "retry_delay_max",
                                    "rate_limit",
                                    "queued",
                                    "concurrency",
                                    "progress",
                                    "max_response_bytes",
                                    "amounts",
                                    "ca_file",
                                    "ca_path",
                                    "pinned_public_key",
                                    "proxy",
                                    "http_version",
                                    "app_info",
                                    "on_request",
                                    "on_response",
                                    "on_retry",
                                    "page_size",
                                    "page_number",
                                    "start_time",
                                    "end_time",
                                    "transaction_type",
                                    "transaction_status",
                                    "transaction_id",
                                    "tiemout",
                                    ""};
#define NAMES (sizeof names / sizeof *names)

static const double numbers[] = {0,    1,    -1,  0.5,  1e300,
                                 -0.0, 1e15, 100, 1024, 65536};

static const char *const texts[] = {
    "https://127.0.0.1:1/api",
    "http://localhost:1",
    "sandbox",
    "USD",
    "exact",
    "2",
    "c0a80101-0000-4000-8000-000000000001",
    "2024-03-21T17:17:32+08:00",
    "http://127.0.0.1:8080",
    "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="};

/* The bytes that are left. */
struct input {
  const uint8_t *at, *end;
};

static unsigned next(struct input *in) {
  return in->at < in->end ? *in->at++ : 0;
}

static int nothing(lua_State *L) {
  (void)L;
  return 0;
}

static void push_value(lua_State *L, struct input *in, int depth) {
  unsigned type = next(in), n;
  switch (type % 8) {
  case 0:
    lua_pushnumber(L, numbers[next(in) % 10]);
    break;
  case 1:
    lua_pushnumber(L, type & 8 ? (lua_Number)NAN : (lua_Number)INFINITY);
    break;
  case 2:
    lua_pushinteger(L, (lua_Integer)(next(in) * 256 + next(in)));
    break;
  case 3:
    lua_pushboolean(L, type & 8);
    break;
  case 4:
    lua_pushcfunction(L, nothing);
    break;
  case 5:
    lua_newtable(L);
    for (n = next(in) % 4; n > 0 && depth < 3; n--) {
      static const char *const keys[] = {"name",   "version", "url", "lock",
                                         "unlock", "get",     "set", "other"};
      lua_pushstring(L, keys[next(in) % 8]);
      push_value(L, in, depth + 1);
      lua_rawset(L, -3);
    }
    break;
  case 6:
    lua_pushstring(L, texts[next(in) % (sizeof texts / sizeof *texts)]);
    break;
  default:
    n = next(in);
    if (n > (size_t)(in->end - in->at))
      n = (unsigned)(in->end - in->at);
    lua_pushlstring(L, (const char *)in->at, n);
    in->at += n;
  }
}

static void push_options(lua_State *L, struct input *in) {
  lua_newtable(L);
  while (in->at < in->end) {
    lua_pushstring(L, names[next(in) % NAMES]);
    push_value(L, in, 0);
    lua_rawset(L, -3);
  }
}

/* uqL_call_options(endpoint number, currency or nil, options); a wrong value
** is an error here. */
static int read_call(lua_State *L) {
  static struct uq_options o;
  const struct uq_endpoint *e =
      &uq_endpoints[lua_tointeger(L, 1) % UQ_ENDPOINT_COUNT];
  memset(&o, 0, sizeof o);
  o.retry_delay_max = 5;
  if (!uqL_call_options(L, 2, e, e->name, &o))
    return luaL_error(L, "%s", lua_tostring(L, -1));
  CHECK(lua_type(L, -1) == LUA_TSTRING); /* the query */
  CHECK(lua_rawlen(L, -1) <= UQ_QUERY_MAX);
  CHECK(o.timeout >= 0 && o.timeout <= 86400);
  CHECK(o.amounts >= 0 && o.amounts <= UQ_AMOUNTS_EXACT);
  return 0;
}

/* True if another option has the text at the top, too: then it is no secret. */
static int is_elsewhere(lua_State *L, int table, const char *name) {
  int found = 0;
  for (lua_pushnil(L); lua_next(L, table) != 0; lua_pop(L, 1))
    found |= strcmp(lua_tostring(L, -2), name) != 0 && lua_rawequal(L, -1, -3);
  return found;
}

/* The message at the top names what is wrong, but no secret of the table. */
static void check_error(lua_State *L, int table) {
  static const char *const secrets[] = {"token", "api_key"};
  size_t len, n;
  const char *message = lua_tolstring(L, -1, &len);
  CHECK(lua_type(L, -1) == LUA_TSTRING);
  CHECK(strstr(message, "option") != NULL ||
        strstr(message, "argument") != NULL ||
        strstr(message, "expected") != NULL);
  for (int i = 0; i < 2; i++) {
    lua_getfield(L, table, secrets[i]);
    const char *secret =
        lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &n) : NULL;
    CHECK(secret == NULL || n < 16 || is_elsewhere(L, table, secrets[i]) ||
          memmem(message, len, secret, n) == NULL);
    lua_pop(L, 1);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
  lua_State *L = fuzz_state();
  struct input in = {bytes, bytes + len};
  unsigned what = next(&in);
  int arguments = 1;
  if (what % 2 == 0) {
    lua_getglobal(L, "uqpay");
    lua_getfield(L, -1, "new");
    lua_replace(L, 1);
    push_options(L, &in);
  } else {
    lua_pushcfunction(L, read_call);
    lua_pushinteger(L, what / 4);
    arguments = 2;
    if (what & 2) {
      lua_pushliteral(L, "USD");
      arguments = 3;
    }
    push_options(L, &in);
  }
  int table = lua_gettop(L);
  lua_pushvalue(L, table); /* for us to keep */
  lua_insert(L, 1);
  if (lua_pcall(L, arguments, 1, 0) != 0) {
    check_error(L, 1);
  } else if (what % 2 == 0) {
    CHECK(luaL_checkudata(L, -1, UQ_CLIENT) != NULL);
    lua_getfield(L, -1, "close");
    lua_pushvalue(L, -2);
    lua_call(L, 1, 0);
  }
  lua_settop(L, 0);
  return 0;
}
