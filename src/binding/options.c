/*
** options.c - the options, one row for each, and how a table of them is read.
** SPDX-License-Identifier: MIT
*/
#include "binding/options.h"

#include <string.h>

#include "binding/auxlib.h"
#include "binding/check.h"
#include "binding/error.h"
#include "binding/option_reading.h"
#include "binding/option_values.h"
#include "binding/query.h"
#include "engine/api/endpoint.h"
#include "engine/http/transport_options.h"

#define MAX_NAME 40          /* bytes of an unknown option in a message */
#define MAX_RETRY_DELAY 3600 /* seconds */
#define MAX_COMPARED 32      /* bytes of a name that is compared by distance */
#define MAX_DISTANCE 3       /* a name farther away is not a typing error */

/* ------------------------------------------------------------------------ */
/* the options                                                               */
/* ------------------------------------------------------------------------ */

static const char *const environment_names[] = {[UQ_SANDBOX] = "sandbox",
                                                [UQ_PRODUCTION] = "production",
                                                [UQ_ENVIRONMENTS] = NULL};
static const char *const http_version_names[] = {[UQ_HTTP_AUTO] = "auto",
                                                 [UQ_HTTP_1_1] = "1.1",
                                                 [UQ_HTTP_2] = "2",
                                                 [UQ_HTTP_2 + 1] = NULL};
static const char *const amounts_names[] = {[UQ_AMOUNTS_NUMBER] = "number",
                                            [UQ_AMOUNTS_STRING] = "string",
                                            [UQ_AMOUNTS_EXACT] = "exact",
                                            [UQ_AMOUNTS_EXACT + 1] = NULL};
static const char *const on_error_names[] = {"raise", "return", NULL};

#define AT(field) offsetof(struct uq_options, field)
#define SIZE(field) sizeof(((struct uq_options *)0)->field)
#define TEXT(field, check) \
  { #field, uqL_read_text, UQ_FOR_CLIENT, AT(field), 0, 0, NULL, check }
#define VALUE(field, scope, check) \
  { #field, uqL_read_value, scope, AT(field), 0, SIZE(field), NULL, check }
#define SECONDS(field, min, max) \
  { #field, uqL_read_seconds, UQ_FOR_BOTH, AT(field), min, max, NULL, NULL }
#define WHOLE(field, scope, min, max) \
  { #field, uqL_read_whole, scope, AT(field), min, max, NULL, NULL }
#define CHOICE(field, scope) \
  { #field, uqL_read_choice, scope, AT(field), 0, 0, field##_names, NULL }
#define SWITCH(field, scope) \
  { #field, uqL_read_switch, scope, AT(field), 0, 0, NULL, NULL }
#define OTHER(name, read, scope) \
  { name, read, scope, 0, 0, 0, NULL, NULL }

/* clang-format off: a row a line */
static const struct uq_option rows[] = {
    CHOICE(environment, UQ_FOR_CLIENT),
    TEXT(base_url, uq_check_base_url),
    OTHER("token", uqL_read_token, UQ_FOR_CLIENT),
    TEXT(client_id, uq_check_credential),
    {"api_key", uqL_read_api_key, UQ_FOR_CLIENT, 0, 0, 0, NULL,
     uq_check_credential},
    OTHER("token_store", uqL_read_store, UQ_FOR_CLIENT),
    VALUE(on_behalf_of, UQ_FOR_CLIENT | UQ_FOR_BEHALF, uq_check_account),
    VALUE(currency, UQ_FOR_CLIENT | UQ_FOR_POST, uq_check_currency),
    VALUE(idempotency_key, UQ_FOR_POST, uq_check_uuid),
    SWITCH(allow_key_reuse, UQ_FOR_POST),
    SECONDS(timeout, 0.001, UQ_TIMEOUT_MAX),
    SECONDS(connect_timeout, 0.001, UQ_TIMEOUT_MAX),
    WHOLE(max_retries, UQ_FOR_BOTH, 0, 100),
    SECONDS(retry_delay, 0, MAX_RETRY_DELAY),
    SECONDS(retry_delay_max, 0, MAX_RETRY_DELAY),
    WHOLE(rate_limit, UQ_FOR_CLIENT, 0, 1000000),
    SWITCH(queued, UQ_FOR_CALL),
    WHOLE(concurrency, UQ_FOR_BATCH, 1, 1000),
    OTHER("progress", uqL_read_function, UQ_FOR_BATCH | UQ_FOR_EACH),
    CHOICE(on_error, UQ_FOR_EACH),
    WHOLE(max_response_bytes, UQ_FOR_BOTH, 1024, 67108864),
    CHOICE(amounts, UQ_FOR_BOTH),
    TEXT(ca_file, uq_check_text),
    TEXT(ca_path, uq_check_text),
    TEXT(pinned_public_key, uq_check_pin),
    TEXT(proxy, uq_check_proxy),
    CHOICE(http_version, UQ_FOR_CLIENT),
    {"app_info", uqL_read_app, UQ_FOR_CLIENT, AT(user_agent), 0, 0, NULL, NULL},
    OTHER("transport", uqL_read_transport, UQ_FOR_CLIENT),
    OTHER("clock", uqL_read_clock, UQ_FOR_CLIENT),
    OTHER("on_request", uqL_read_hook, UQ_FOR_CLIENT),
    OTHER("on_response", uqL_read_hook, UQ_FOR_CLIENT),
    OTHER("on_retry", uqL_read_hook, UQ_FOR_CLIENT),
};
/* clang-format on */

#define ROWS (sizeof rows / sizeof *rows)

const struct uq_options uq_options_default = {
    .timeout = 30,
    .connect_timeout = 10,
    .retry_delay = 0.5,
    .retry_delay_max = 5,
    .max_retries = 2,
    .max_response_bytes = 1048576,
    .environment = -1,
    .rate_limit = -1,
    .concurrency = 32,
    .user_agent = "lua-uqpay/" UQ_VERSION,
};

/* ------------------------------------------------------------------------ */
/* unknown options                                                           */
/* ------------------------------------------------------------------------ */

static size_t min_of(size_t a, size_t b) { return a < b ? a : b; }

/* Levenshtein distance of two short words. */
static size_t distance(const char *a, const char *b) {
  size_t row[MAX_COMPARED], m = strlen(b);
  if (m >= MAX_COMPARED)
    return m;
  for (size_t j = 0; j <= m; j++)
    row[j] = j;
  for (size_t i = 1; *a != '\0'; a++, i++) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= m; j++) {
      size_t replaced = diagonal + (*a != b[j - 1]);
      diagonal = row[j];
      row[j] = min_of(replaced, min_of(row[j], row[j - 1]) + 1);
    }
  }
  return row[m];
}

/* A name that is looked for, and the nearest one so far. */
struct search {
  const char *name;
  const char *nearest; /* NULL: none is near enough */
  size_t distance;
};

static void keep_nearest(struct search *s, const char *candidate) {
  size_t d = distance(s->name, candidate);
  if (d >= s->distance)
    return;
  s->distance = d;
  s->nearest = candidate;
}

/* Raises: the name at the top is not an option. */
static int unknown_option(lua_State *L, const struct uq_reading *r) {
  struct search s = {lua_tostring(L, -1), NULL, MAX_DISTANCE + 1};
  for (size_t i = 0; i < ROWS; i++) {
    if (rows[i].scope & r->scope)
      keep_nearest(&s, rows[i].name);
  }
  const struct uq_param *p = r->endpoint != NULL ? r->endpoint->params : NULL;
  for (; p != NULL && p->name != NULL; p++)
    keep_nearest(&s, p->name);
  uqL_push_shown(L, s.name, strlen(s.name), MAX_NAME);
  if (s.nearest == NULL)
    return luaL_error(L, "unknown option '%s' to '%s'", lua_tostring(L, -1),
                      r->method);
  return luaL_error(L, "unknown option '%s' to '%s' (did you mean '%s'?)",
                    lua_tostring(L, -1), r->method, s.nearest);
}

/* ------------------------------------------------------------------------ */
/* reading                                                                   */
/* ------------------------------------------------------------------------ */

/* The option whose name is at the top; NULL: none. */
static const struct uq_option *find_option(lua_State *L, int scope) {
  for (size_t i = 0; i < ROWS; i++) {
    if ((rows[i].scope & scope) && uqL_option_equals(L, -1, rows[i].name))
      return &rows[i];
  }
  return NULL;
}

/* True if the name at the top is a parameter of the endpoint. */
static bool is_param(lua_State *L, const struct uq_endpoint *e) {
  size_t len;
  const char *name = lua_tolstring(L, -1, &len);
  return e != NULL && strlen(name) == len && uq_query_has_param(e, name);
}

/* Reads a field, whose name and value are at the top. */
static void read_field(lua_State *L, const struct uq_reading *r) {
  if (lua_type(L, -2) != LUA_TSTRING)
    luaL_error(L, "bad option table to '%s' (names expected as keys, got %s)",
               r->method, luaL_typename(L, -2));
  lua_pushvalue(L, -2);
  bool param = is_param(L, r->endpoint);
  const struct uq_option *o = param ? NULL : find_option(L, r->scope);
  if (o == NULL && !param)
    unknown_option(L, r);
  lua_pop(L, 1);
  if (o != NULL)
    o->read(L, r, o, (char *)r->options + o->offset);
}

/* A default never contradicts an option that is given. */
static void check_delays(lua_State *L, const struct uq_reading *r, int idx) {
  struct uq_options *o = r->options;
  if (o->retry_delay_max >= o->retry_delay)
    return;
  lua_getfield(L, idx, "retry_delay_max");
  if (!lua_isnil(L, -1))
    uqL_option_error(L, r, "retry_delay_max", "at least retry_delay expected");
  lua_pop(L, 1);
  o->retry_delay_max = o->retry_delay;
}

/* Walks the user's table, not the rows: so no field of it is overlooked. */
void uqL_options_read(lua_State *L, const struct uq_reading *r, int idx) {
  uqL_option_check_plain(L, r, idx);
  for (lua_pushnil(L); lua_next(L, idx) != 0; lua_pop(L, 1))
    read_field(L, r);
  check_delays(L, r, idx);
}
