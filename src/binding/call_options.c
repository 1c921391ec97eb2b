/*
** call_options.c - see call_options.h. What is wrong in the program raises; a
** value that may come from outside the program is the failure of the call.
** SPDX-License-Identifier: MIT
*/
#include "binding/call_options.h"

#include <string.h>

#include "binding/auxlib.h"
#include "binding/check.h"
#include "binding/option_reading.h"
#include "binding/options.h"
#include "binding/query.h"
#include "engine/api/endpoint.h"

/* The index of the option table that may be at idx, as argument `number`, the
** last; 0: none. */
static int option_table(lua_State *L, const struct uq_reading *r, int idx,
                        int number) {
  bool given = !lua_isnoneornil(L, idx);
  if (given)
    uqL_argument_table(L, idx, number, r->method);
  if (!lua_isnoneornil(L, idx + 1))
    uqL_argument_error(L, number + 1, r->method,
                       "no further argument expected");
  return given ? idx : 0;
}

/* What a method's call is named after: "start_balance" makes a `balance`. */
static const char *call_name(const char *method) {
  static const char prefix[] = "start_";
  size_t len = sizeof prefix - 1;
  return strncmp(method, prefix, len) == 0 ? method + len : method;
}

/* False: a value is wrong; pushes the message. It is a failure of the call, not
** of the method, and names that. */
static bool end_reading(lua_State *L, const struct uq_reading *r) {
  const struct uq_refusal *refused = r->refused;
  if (refused->option == NULL)
    return true;
  lua_pushfstring(L, "bad option '%s' to '%s' (%s)", refused->option,
                  call_name(r->method), refused->expected);
  return false;
}

/* ------------------------------------------------------------------------ */
/* a balance                                                                 */
/* ------------------------------------------------------------------------ */

/* True if the first argument, at idx, is a currency. Raises if it is not an
** option table either; nil is an unset variable. */
static bool is_currency(lua_State *L, const struct uq_reading *r, int idx) {
  if (lua_istable(L, idx) || lua_isnone(L, idx))
    return false;
  if (lua_type(L, idx) != LUA_TSTRING) {
    lua_pushfstring(L, "currency: string or table expected, got %s",
                    luaL_typename(L, idx));
    uqL_argument_error(L, 1, r->method, lua_tostring(L, -1));
  }
  return true;
}

/* True if the option is the one whose value is refused. */
static bool is_refused(const struct uq_reading *r, const char *option) {
  return r->refused->option != NULL && strcmp(r->refused->option, option) == 0;
}

/* Reads the currency that is the argument at idx. */
static void read_currency(lua_State *L, const struct uq_reading *r, int idx) {
  struct uq_options *o = r->options;
  size_t len;
  if (o->currency[0] != '\0' || is_refused(r, "currency"))
    uqL_option_error(L, r, "currency", "it was given as an argument already");
  const char *currency = lua_tolstring(L, idx, &len);
  const char *expected = uq_check_currency(currency, len);
  if (expected == NULL)
    memcpy(o->currency, currency, len + 1);
  else
    uq_refuse(r->refused, "currency", expected, len == 0);
}

/* Reads [currency,] [options], and pushes an empty query. */
static void read_post(lua_State *L, const struct uq_reading *r, int first) {
  struct uq_options *o = r->options;
  bool argument = is_currency(L, r, first);
  int table = option_table(L, r, first + argument, 1 + argument);
  if (argument)
    o->currency[0] = '\0'; /* the client's does not count */
  if (table != 0)
    uqL_options_read(L, r, table);
  if (argument)
    read_currency(L, r, first);
  if (o->currency[0] == '\0' && !is_refused(r, "currency"))
    luaL_error(L,
               "bad argument 'currency' to '%s' (a currency code such as "
               "\"USD\" expected, got %s)",
               r->method, table != 0 ? "nil" : "none");
  lua_pushliteral(L, "");
}

/* ------------------------------------------------------------------------ */
/* other calls                                                               */
/* ------------------------------------------------------------------------ */

/* Reads [options], and pushes the query. */
static void read_get(lua_State *L, const struct uq_reading *r, int first) {
  struct uq_options *o = r->options;
  int table = option_table(L, r, first, 1);
  o->currency[0] = '\0'; /* the client's is for balances */
  if (r->endpoint->login)
    o->on_behalf_of[0] = '\0';
  if (table != 0)
    uqL_options_read(L, r, table);
  if (!r->endpoint->behalf && o->on_behalf_of[0] != '\0')
    luaL_error(L,
               "'%s' is a call of the master account: this client has "
               "on_behalf_of",
               r->method);
  uqL_query_push(L, r->endpoint, table, r->method, o->currency, r->refused);
}

bool uqL_call_options(lua_State *L, int first, const struct uq_endpoint *e,
                      const char *method, struct uq_options *o) {
  bool post = e->params == NULL;
  struct uq_refusal refused = {NULL, ""};
  struct uq_reading r = {.method = method,
                         .scope = UQ_FOR_CALL,
                         .endpoint = e,
                         .options = o,
                         .refused = &refused};
  r.scope |= post ? UQ_FOR_POST : 0;
  r.scope |= e->behalf ? UQ_FOR_BEHALF : 0;
  r.scope |= method == e->each ? UQ_FOR_EACH : 0;
  if (post)
    read_post(L, &r, first);
  else
    read_get(L, &r, first);
  return end_reading(L, &r);
}

/* Raises if the option table at idx has an option that queries have. */
static void check_no_query_option(lua_State *L, const struct uq_reading *r,
                                  int idx) {
  static const char *const names[] = {"currency", "idempotency_key",
                                      "allow_key_reuse"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    lua_pushstring(L, names[i]);
    lua_rawget(L, idx);
    if (!lua_isnil(L, -1))
      uqL_option_error(L, r, names[i], "it belongs to a query");
    lua_pop(L, 1);
  }
}

bool uqL_batch_options(lua_State *L, int idx, struct uq_options *o) {
  struct uq_refusal refused = {NULL, ""};
  struct uq_reading r = {.method = "batch",
                         .scope = UQ_FOR_CALL | UQ_FOR_BEHALF | UQ_FOR_BATCH,
                         .options = o,
                         .refused = &refused};
  o->queued = true;
  if (lua_isnoneornil(L, idx))
    return true;
  uqL_argument_table(L, idx, 2, r.method);
  check_no_query_option(L, &r, idx);
  uqL_options_read(L, &r, idx);
  return end_reading(L, &r);
}
