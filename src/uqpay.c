/*
** uqpay.c - luaopen_uqpay: the module table. Nothing else.
** SPDX-License-Identifier: MIT
*/
#include <stdbool.h>

#include "binding/amount.h"
#include "binding/auxlib.h"
#include "binding/batch.h"
#include "binding/call.h"
#include "binding/check.h"
#include "binding/client.h"
#include "binding/compat.h"
#include "binding/custom_transport.h"
#include "binding/error.h"
#include "binding/file_store.h"
#include "binding/json.h"
#include "binding/time.h"
#include "engine/base/uuid.h"
#include "engine/http/transport.h"

static int uqpay_uuid(lua_State *L) {
  char uuid[UQ_UUID_LEN + 1];
  if (!uq_uuid_v4(uuid))
    return luaL_error(L, "the system gives no random bytes");
  lua_pushstring(L, uuid);
  return 1;
}

static void set_string(lua_State *L, const char *name, const char *value) {
  if (value == NULL)
    return;
  lua_pushstring(L, value);
  lua_setfield(L, -2, name);
}

static int uqpay_info(lua_State *L) {
  struct uq_transport_info info;
  uq_transport_info(&info);
  lua_newtable(L);
  set_string(L, "version", UQ_VERSION);
  set_string(L, "libcurl", info.libcurl);
  set_string(L, "tls", info.tls);
  set_string(L, "ca_file", info.ca_file);
  set_string(L, "ca_path", info.ca_path);
  set_string(L, "poller", info.poller);
  lua_pushboolean(L, info.http2);
  lua_setfield(L, -2, "http2");
  lua_pushboolean(L, info.async_dns);
  lua_setfield(L, -2, "async_dns");
  uqL_json_version(L);
  lua_setfield(L, -2, "cjson");
  return 1;
}

/* True if the argument is a string that passes the check. Never an error. */
static int passes(lua_State *L, uq_check *check) {
  size_t len;
  lua_settop(L, 1);
  bool is_text = lua_type(L, 1) == LUA_TSTRING;
  const char *text = is_text ? lua_tolstring(L, 1, &len) : NULL;
  lua_pushboolean(L, is_text && check(text, len) == NULL);
  return 1;
}

static int uqpay_is_currency(lua_State *L) {
  return passes(L, uq_check_currency);
}

static int uqpay_is_account_id(lua_State *L) {
  return passes(L, uq_check_account);
}

/* uqpay.from_env([options]): see uqpay/env.lua. */
static int uqpay_from_env(lua_State *L) {
  lua_settop(L, 1);
  uqL_require(L, "uqpay.env");
  lua_pushcfunction(L, uqL_client_new);
  lua_pushvalue(L, 1);
  lua_call(L, 2, 2);
  if (lua_isnil(L, -2))
    return luaL_error(L, "%s", lua_tostring(L, -1));
  lua_pop(L, 1);
  return 1;
}

static const luaL_Reg functions[] = {{"new", uqL_client_new},
                                     {"from_env", uqpay_from_env},
                                     {"uuid", uqpay_uuid},
                                     {"info", uqpay_info},
                                     {"amount", uqL_amount_new},
                                     {"sum", uqL_amount_sum},
                                     {"parse_time", uqL_parse_time},
                                     {"is_currency", uqpay_is_currency},
                                     {"is_account_id", uqpay_is_account_id},
                                     {"file_store", uqL_file_store_new},
                                     {NULL, NULL}};

UQ_EXPORT int luaopen_uqpay(lua_State *L);

UQ_EXPORT int luaopen_uqpay(lua_State *L) {
  uqL_json_open(L);
  uqL_error_open(L);
  uqL_amount_open(L);
  uqL_batch_open(L);
  uqL_call_open(L);
  uqL_client_open(L);
  uqL_custom_transport_open(L);
  uqL_file_store_open(L);
  lua_newtable(L);
  uqL_setfuncs(L, functions);
  uqL_error_kinds(L);
  lua_setfield(L, -2, "kinds");
  set_string(L, "_NAME", "uqpay");
  set_string(L, "_VERSION", UQ_VERSION);
  return 1;
}
