/*
** options.c - option tables into C structs, by a table of descriptors: one row
** an option. An unknown option, a wrong type, a setting out of range raise, and
** so does all that is wrong in the table for uqpay.new. A value of a call that
** may come from outside the program is refused instead: the call fails. Both
** name the option, and never quote it.
** SPDX-License-Identifier: MIT
*/
#include "binding/options.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "binding/auxlib.h"
#include "binding/check.h"
#include "binding/client.h"
#include "binding/compat.h"
#include "binding/error.h"
#include "binding/query.h"
#include "binding/token.h"
#include "engine/api/endpoint.h"
#include "engine/base/buf.h"
#include "engine/http/trust.h"
#include "engine/http/url.h"
#include "engine/number/number.h"

#define MAX_NAME 40 /* bytes of an unknown option in a message */

enum option_type {
  OPT_TEXT,    /* const char *, through a check */
  OPT_VALUE,   /* char[], the same, copied; of a call it may be refused */
  OPT_SECONDS, /* double */
  OPT_WHOLE,   /* int */
  OPT_NAME,    /* int: index into a list of names */
  OPT_SWITCH,  /* bool */
  OPT_HOOK,    /* a function, kept in the peer table */
  OPT_LUA,     /* a function, which Lua takes out of the table itself */
  OPT_TOKEN,   /* a string or function */
  OPT_API_KEY, /* a secret string */
  OPT_STORE,   /* a table of functions */
  OPT_APP      /* a table */
};

enum {
  FOR_NEW = 1,
  FOR_CALL = 2,
  FOR_BOTH = FOR_NEW | FOR_CALL,
  FOR_POST = 4,   /* a call for one currency's balance */
  FOR_BEHALF = 8, /* a call that takes x-on-behalf-of */
  FOR_BATCH = 16, /* besides those of a call */
  FOR_EACH = 32   /* the same, of an iterator over a list */
};

struct option {
  const char *name;
  enum option_type type;
  int where;
  size_t offset;   /* in struct uq_options */
  double min, max; /* of a number; of a value, max is the array's size */
  const char *const *names;
  uq_check *check;
};

/* ------------------------------------------------------------------------ */
/* the table                                                                 */
/* ------------------------------------------------------------------------ */

static const char *const environment_names[] = {"sandbox", "production", NULL};
static const char *const environment_urls[] = {
    "https://api-sandbox.uqpaytech.com/api", "https://api.uqpay.com/api"};
static const int environment_limits[] = {500, 300}; /* calls a minute ... */
static const int login_limits[] = {60, 100};        /* ... and logins */
static const char *const amounts_names[] = {"number", "string", "exact", NULL};
static const char *const on_error_names[] = {"raise", "return", NULL};
static const char *const http_names[] = {"auto", "1.1", "2", NULL};

#define AT(field) offsetof(struct uq_options, field)
#define SIZE(field) sizeof(((struct uq_options *)0)->field)

static const struct option options[] = {
    {"environment", OPT_NAME, FOR_NEW, AT(environment), 0, 0, environment_names,
     NULL},
    {"base_url", OPT_TEXT, FOR_NEW, AT(base_url), 0, 0, NULL,
     uq_check_base_url},
    {"token", OPT_TOKEN, FOR_NEW, 0, 0, 0, NULL, NULL},
    {"client_id", OPT_TEXT, FOR_NEW, AT(client_id), 0, 0, NULL,
     uq_check_credential},
    {"api_key", OPT_API_KEY, FOR_NEW, 0, 0, 0, NULL, uq_check_credential},
    {"token_store", OPT_STORE, FOR_NEW, 0, 0, 0, NULL, NULL},
    {"on_behalf_of", OPT_VALUE, FOR_NEW | FOR_BEHALF, AT(on_behalf_of), 0,
     SIZE(on_behalf_of), NULL, uq_check_account},
    {"currency", OPT_VALUE, FOR_NEW | FOR_POST, AT(currency), 0, SIZE(currency),
     NULL, uq_check_currency},
    {"idempotency_key", OPT_VALUE, FOR_POST, AT(idempotency_key), 0,
     SIZE(idempotency_key), NULL, uq_check_uuid},
    {"allow_key_reuse", OPT_SWITCH, FOR_POST, AT(allow_key_reuse), 0, 0, NULL,
     NULL},
    {"timeout", OPT_SECONDS, FOR_BOTH, AT(timeout), 0.001, UQ_TIMEOUT_MAX, NULL, NULL},
    {"connect_timeout", OPT_SECONDS, FOR_BOTH, AT(connect_timeout), 0.001,
     UQ_TIMEOUT_MAX, NULL, NULL},
    {"max_retries", OPT_WHOLE, FOR_BOTH, AT(max_retries), 0, 100, NULL, NULL},
    {"retry_delay", OPT_SECONDS, FOR_BOTH, AT(retry_delay), 0, 3600, NULL,
     NULL},
    {"retry_delay_max", OPT_SECONDS, FOR_BOTH, AT(retry_delay_max), 0, 3600,
     NULL, NULL},
    {"rate_limit", OPT_WHOLE, FOR_NEW, AT(rate_limit), 0, 1000000, NULL, NULL},
    {"queued", OPT_SWITCH, FOR_CALL, AT(queued), 0, 0, NULL, NULL},
    {"concurrency", OPT_WHOLE, FOR_BATCH, AT(concurrency), 1, 1000, NULL, NULL},
    {"progress", OPT_LUA, FOR_BATCH | FOR_EACH, 0, 0, 0, NULL, NULL},
    {"on_error", OPT_NAME, FOR_EACH, AT(on_error), 0, 0, on_error_names, NULL},
    {"max_response_bytes", OPT_WHOLE, FOR_BOTH, AT(max_response_bytes), 1024,
     67108864, NULL, NULL},
    {"amounts", OPT_NAME, FOR_BOTH, AT(amounts), 0, 0, amounts_names, NULL},
    {"ca_file", OPT_TEXT, FOR_NEW, AT(ca_file), 0, 0, NULL, uq_check_text},
    {"ca_path", OPT_TEXT, FOR_NEW, AT(ca_path), 0, 0, NULL, uq_check_text},
    {"pinned_public_key", OPT_TEXT, FOR_NEW, AT(pinned_public_key), 0, 0, NULL,
     uq_check_pin},
    {"proxy", OPT_TEXT, FOR_NEW, AT(proxy), 0, 0, NULL, uq_check_proxy},
    {"http_version", OPT_NAME, FOR_NEW, AT(http_version), 0, 0, http_names,
     NULL},
    {"app_info", OPT_APP, FOR_NEW, AT(user_agent), 0, 0, NULL, NULL},
    {"on_request", OPT_HOOK, FOR_NEW, 0, 0, 0, NULL, NULL},
    {"on_response", OPT_HOOK, FOR_NEW, 0, 0, 0, NULL, NULL},
    {"on_retry", OPT_HOOK, FOR_NEW, 0, 0, 0, NULL, NULL},
};

#undef AT
#undef SIZE

#define OPTION_COUNT (sizeof options / sizeof *options)

static const struct uq_options defaults = {
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
/* reading                                                                   */
/* ------------------------------------------------------------------------ */

/* Where a table is being read to. */
struct reading {
  const char *method; /* for messages */
  int where;
  const struct uq_endpoint
      *endpoint; /* of a call; its parameters are not ours */
  struct uq_options *options;
  struct uq_refusal *refused; /* NULL: a wrong value raises */
  struct uq_client *client;   /* for FOR_NEW: token, hooks; else NULL */
  int peer;                   /* index of its peer table */
};

static bool is_refused(const struct reading *r, const char *option) {
  return r->refused->option != NULL && strcmp(r->refused->option, option) == 0;
}

static int bad_option(lua_State *L, const struct reading *r, const char *name,
                      const char *expected) {
  if (expected == uq_no_memory) /* it may be good */
    return luaL_error(L, "%s", uq_no_memory);
  return luaL_error(L, "bad option '%s' to '%s' (%s)", name, r->method,
                    expected);
}

/* "... expected, got <type>" for the value at the top. */
static int bad_type(lua_State *L, const struct reading *r, const char *name,
                    const char *expected) {
  lua_pushfstring(L, "%s expected, got %s", expected, luaL_typename(L, -1));
  return bad_option(L, r, name, lua_tostring(L, -1));
}

/* Is the value at idx this string, and not one that only begins so? */
static bool equals(lua_State *L, int idx, const char *text) {
  size_t len;
  return lua_type(L, idx) == LUA_TSTRING &&
         strcmp(lua_tolstring(L, idx, &len), text) == 0 && strlen(text) == len;
}

/* Levenshtein distance of two short words. */
static size_t distance(const char *a, const char *b) {
  size_t row[32], m = strlen(b);
  if (m >= 32)
    return m;
  for (size_t j = 0; j <= m; j++)
    row[j] = j;
  for (size_t i = 1; *a != '\0'; a++, i++) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= m; j++) {
      size_t best = diagonal + (*a != b[j - 1]);
      if (row[j] + 1 < best)
        best = row[j] + 1;
      if (row[j - 1] + 1 < best)
        best = row[j - 1] + 1;
      diagonal = row[j];
      row[j] = best;
    }
  }
  return row[m];
}

/* Takes the candidate for the nearest if it is nearer than the one before. */
static void approach(const char *name, const char *candidate,
                     const char **nearest, size_t *best) {
  size_t d = distance(name, candidate);
  if (d >= *best)
    return;
  *best = d;
  *nearest = candidate;
}

/* The name at the top is no option. */
static int unknown_option(lua_State *L, const struct reading *r) {
  const char *name = lua_tostring(L, -1);
  const char *nearest = NULL;
  const struct uq_param *p = r->endpoint != NULL ? r->endpoint->params : NULL;
  size_t best = 4; /* farther words are no typing errors */
  for (size_t i = 0; i < OPTION_COUNT; i++) {
    if (options[i].where & r->where)
      approach(name, options[i].name, &nearest, &best);
  }
  for (; p != NULL && p->name != NULL; p++)
    approach(name, p->name, &nearest, &best);
  uqL_push_shown(L, name, strlen(name), MAX_NAME);
  if (nearest != NULL)
    return luaL_error(L, "unknown option '%s' to '%s' (did you mean '%s'?)",
                      lua_tostring(L, -1), r->method, nearest);
  return luaL_error(L, "unknown option '%s' to '%s'", lua_tostring(L, -1),
                    r->method);
}

/* Keeps the string at the top alive with the client. */
static void keep(lua_State *L, const struct reading *r, const char *name) {
  if (r->client == NULL)
    return;
  lua_pushvalue(L, -1);
  lua_setfield(L, r->peer, name);
}

/* The string at the top has not the form that is expected. */
static int bad_text(lua_State *L, const struct reading *r, const char *name,
                    const char *expected) {
  size_t len;
  lua_tolstring(L, -1, &len);
  if (len > 0)
    return bad_option(L, r, name, expected);
  lua_pushfstring(L, "%s, got an empty string", expected);
  return bad_option(L, r, name, lua_tostring(L, -1));
}

/* The string at the top, checked. */
static const char *read_text(lua_State *L, const struct reading *r,
                             const struct option *o) {
  size_t len;
  if (lua_type(L, -1) != LUA_TSTRING)
    bad_type(L, r, o->name, "string");
  const char *text = lua_tolstring(L, -1, &len);
  const char *expected = o->check(text, len);
  if (expected != NULL)
    bad_text(L, r, o->name, expected);
  return text;
}

/* Copies the string at the top into the field; a refused one leaves "". */
static void read_value(lua_State *L, const struct reading *r,
                       const struct option *o, char *field) {
  size_t len;
  if (lua_type(L, -1) != LUA_TSTRING)
    bad_type(L, r, o->name, "string");
  const char *text = lua_tolstring(L, -1, &len);
  const char *expected = o->check(text, len);
  field[0] = '\0';
  if (expected == NULL)
    snprintf(field, (size_t)o->max, "%s", text);
  else if (r->refused != NULL)
    uq_refuse(r->refused, o->name, expected, len == 0);
  else
    bad_text(L, r, o->name, expected);
}

static double read_number(lua_State *L, const struct reading *r,
                          const struct option *o, const char *unit) {
  char expected[80], min[UQ_NUMBER_TEXT], max[UQ_NUMBER_TEXT];
  uq_number_text(o->min, 15, min);
  uq_number_text(o->max, 15, max);
  snprintf(expected, sizeof expected, "%s from %s to %s", unit, min, max);
  if (lua_type(L, -1) != LUA_TNUMBER)
    bad_type(L, r, o->name, expected);
  double value = (double)lua_tonumber(L, -1);
  bool whole = o->type != OPT_WHOLE || floor(value) == value;
  if (!(value >= o->min && value <= o->max) || !whole) { /* NaN is neither */
    lua_pushfstring(L, "%s expected, got %f", expected, value);
    bad_option(L, r, o->name, lua_tostring(L, -1));
  }
  return value;
}

static int read_name(lua_State *L, const struct reading *r,
                     const struct option *o) {
  for (int i = 0; o->names[i] != NULL; i++) {
    if (equals(L, -1, o->names[i]))
      return i;
  }
  lua_pushliteral(L, "");
  for (int i = 0; o->names[i] != NULL; i++) {
    lua_pushfstring(L, "%s\"%s\"", i == 0 ? "" : " or ", o->names[i]);
    lua_concat(L, 2);
  }
  lua_insert(L, -2);
  const char *names = lua_tostring(L, -2);
  if (lua_type(L, -1) != LUA_TSTRING)
    return bad_type(L, r, o->name, names);
  lua_pushfstring(L, "%s expected", names);
  lua_insert(L, -2);
  return bad_text(L, r, o->name, lua_tostring(L, -2));
}

static void read_token(lua_State *L, const struct reading *r,
                       const struct option *o) {
  struct uq_client *c = r->client;
  size_t len;
  assert(c != NULL); /* an option FOR_NEW */
  if (lua_isfunction(L, -1)) {
    c->token.function = true;
    keep(L, r, o->name);
    return;
  }
  if (lua_type(L, -1) != LUA_TSTRING)
    bad_type(L, r, o->name, "string or function");
  const char *text = lua_tolstring(L, -1, &len);
  const char *expected = uq_token_take(&c->token.text, text, len);
  if (expected != NULL)
    bad_option(L, r, o->name, expected);
}

/* A secret: checked and copied, never kept as a string or quoted. */
static void read_api_key(lua_State *L, const struct reading *r,
                         const struct option *o) {
  struct uq_client *c = r->client;
  size_t len;
  assert(c != NULL); /* an option FOR_NEW */
  const char *text = read_text(L, r, o);
  lua_tolstring(L, -1, &len);
  if (uq_buf_append(&c->api_key, text, len + 1) != UQ_BUF_OK)
    luaL_error(L, "not enough memory");
}

/* token_store: an object with the methods get, set and maybe lock, unlock; kept
** as they are now, in the
** peer table's "token_store.get" and so on. */
static void read_store(lua_State *L, const struct reading *r,
                       const struct option *o) {
  static const char *const names[] = {"get", "set", "lock", "unlock"};
  bool object = !lua_isstring(L, -1) && /* whose metatable has one, too */
                luaL_getmetafield(L, -1, "__index") != 0;
  if (object)
    lua_pop(L, 1);
  if (!object && !lua_istable(L, -1))
    bad_type(L, r, o->name, "table");
  bool found[4];
  for (int i = 0; i < 4; i++) {
    lua_getfield(L, -1, names[i]);
    found[i] = lua_isfunction(L, -1);
    if (!found[i] && (i < 2 || !lua_isnil(L, -1)))
      bad_option(L, r, o->name,
                 "functions get and set, and lock and unlock or neither, "
                 "expected in it");
    lua_pushfstring(L, "%s.%s", o->name, names[i]);
    lua_insert(L, -2);
    lua_rawset(L, r->peer);
  }
  if (found[2] != found[3])
    bad_option(L, r, o->name, "lock and unlock, or neither, expected in it");
  assert(r->client != NULL); /* an option FOR_NEW */
  r->client->store.given = true;
  keep(L, r, o->name);
}

static void read_hook(lua_State *L, const struct reading *r,
                      const struct option *o) {
  struct uq_client *c = r->client;
  assert(c != NULL); /* an option FOR_NEW */
  if (!lua_isfunction(L, -1))
    bad_type(L, r, o->name, "function");
  keep(L, r, o->name);
  c->hooks.request |= strcmp(o->name, "on_request") == 0;
  c->hooks.response |= strcmp(o->name, "on_response") == 0;
  c->hooks.retry |= strcmp(o->name, "on_retry") == 0;
}

/* What a table would inherit is not in it, and must not be thought to count. */
static void check_plain(lua_State *L, const struct reading *r, int idx) {
  if (luaL_getmetafield(L, idx, "__index") != 0)
    luaL_error(L,
               "bad option table to '%s' (a table without __index expected: "
               "inherited options would not be seen)",
               r->method);
}

/* Appends a member of the app_info table at idx to the string at the top. */
static void append_app(lua_State *L, const struct reading *r, int idx,
                       const char *name, const char *before,
                       const char *after) {
  lua_getfield(L, idx, name);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    return;
  }
  size_t len;
  lua_pushfstring(L, "app_info.%s", name);
  const char *option = lua_tostring(L, -1);
  lua_insert(L, -2); /* kept below the value */
  if (lua_type(L, -1) != LUA_TSTRING)
    bad_type(L, r, option, "string");
  const char *text = lua_tolstring(L, -1, &len);
  if (len > 100 || !uq_check_agent(text, len))
    bad_text(
        L, r, option,
        "a word of 1 to 100 visible ASCII bytes without brackets expected");
  lua_remove(L, -2);
  lua_pushstring(L, before);
  lua_insert(L, -2);
  lua_pushstring(L, after);
  lua_concat(L, 4);
}

/* app_info = { name=, version=, url= } behind our own name in User-Agent. */
static void read_app(lua_State *L, const struct reading *r,
                     const struct option *o, const char **field) {
  int idx = lua_gettop(L);
  if (!lua_istable(L, idx))
    bad_type(L, r, o->name, "table");
  check_plain(L, r, idx);
  lua_getfield(L, idx, "name");
  if (lua_isnil(L, -1))
    bad_option(L, r, "app_info.name", "a string expected, got nil");
  lua_pop(L, 1);
  for (lua_pushnil(L); lua_next(L, idx) != 0; lua_pop(L, 1)) {
    if (!equals(L, -2, "name") && !equals(L, -2, "version") &&
        !equals(L, -2, "url"))
      bad_option(L, r, o->name, "only name, version and url expected in it");
  }
  lua_pushstring(L, *field);
  append_app(L, r, idx, "name", " ", "");
  append_app(L, r, idx, "version", "/", "");
  append_app(L, r, idx, "url", " (", ")");
  keep(L, r, "user_agent");
  *field = lua_tostring(L, -1);
  lua_pop(L, 1);
}

/* Reads the value at the top into its field. */
static void read_option(lua_State *L, const struct reading *r,
                        const struct option *o) {
  char *field = (char *)r->options + o->offset;
  switch (o->type) {
  case OPT_TEXT:
    *(const char **)(void *)field = read_text(L, r, o);
    keep(L, r, o->name);
    break;
  case OPT_VALUE:
    read_value(L, r, o, field);
    break;
  case OPT_SECONDS:
    *(double *)(void *)field = read_number(L, r, o, "seconds");
    break;
  case OPT_WHOLE:
    *(int *)(void *)field = (int)read_number(L, r, o, "a whole number");
    break;
  case OPT_NAME:
    *(int *)(void *)field = read_name(L, r, o);
    break;
  case OPT_SWITCH:
    if (!lua_isboolean(L, -1))
      bad_type(L, r, o->name, "boolean");
    *(bool *)field = lua_toboolean(L, -1) != 0;
    break;
  case OPT_HOOK:
    read_hook(L, r, o);
    break;
  case OPT_LUA:
    if (!lua_isfunction(L, -1))
      bad_type(L, r, o->name, "function");
    break;
  case OPT_TOKEN:
    read_token(L, r, o);
    break;
  case OPT_API_KEY:
    read_api_key(L, r, o);
    break;
  case OPT_STORE:
    read_store(L, r, o);
    break;
  case OPT_APP:
    read_app(L, r, o, (const char **)(void *)field);
    break;
  }
}

/* The option that the key at the top names. */
static const struct option *find_option(lua_State *L, int where) {
  for (size_t i = 0; i < OPTION_COUNT; i++) {
    if ((options[i].where & where) && equals(L, -1, options[i].name))
      return &options[i];
  }
  return NULL;
}

/* Does the key at the top name a parameter of the endpoint? */
static bool is_param(lua_State *L, const struct uq_endpoint *e) {
  size_t len;
  const char *name = lua_tolstring(L, -1, &len);
  return e != NULL && strlen(name) == len && uq_query_knows(e, name);
}

/* Walks the user's table, not ours: so nothing in it goes unseen. */
static void read_table(lua_State *L, const struct reading *r, int idx) {
  check_plain(L, r, idx);
  for (lua_pushnil(L); lua_next(L, idx) != 0; lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING)
      luaL_error(L, "bad option table to '%s' (names expected as keys, got %s)",
                 r->method, luaL_typename(L, -2));
    lua_pushvalue(L, -2);
    const struct option *o = find_option(L, r->where);
    bool param = is_param(L, r->endpoint);
    if (o == NULL && !param)
      unknown_option(L, r);
    lua_pop(L, 1);
    if (!param)
      read_option(L, r, o);
  }
  if (r->options->retry_delay_max < r->options->retry_delay) {
    lua_getfield(L, idx, "retry_delay_max");
    if (!lua_isnil(L, -1))
      bad_option(L, r, "retry_delay_max", "at least retry_delay expected");
    lua_pop(L, 1);
    r->options->retry_delay_max = r->options->retry_delay;
  }
}

/* What only makes sense, or only makes none, together. */
static void settle_new(lua_State *L, const struct reading *r) {
  struct uq_options *o = r->options;
  struct uq_client *c = r->client;
  bool token = c->token.text.len > 0 || c->token.function;
  bool login = c->api_key.len > 0;
  if (login && o->client_id == NULL)
    bad_option(L, r, "client_id", "expected together with api_key, got nil");
  if (!login && o->client_id != NULL)
    bad_option(L, r, "api_key", "expected together with client_id, got nil");
  if (token && login)
    bad_option(L, r, "token", "not together with client_id and api_key");
  if (!token && !login)
    bad_option(L, r, "token",
               "a string or function, or client_id and api_key, expected, got "
               "nil");
  int environment = o->environment < 0 ? 0 : o->environment;
  if (o->base_url != NULL && o->environment >= 0)
    bad_option(L, r, "base_url", "not together with environment");
  if (o->rate_limit < 0) /* another address has limits of its own */
    o->rate_limit = o->base_url == NULL ? environment_limits[environment] : 0;
  o->login_limit = o->base_url == NULL ? login_limits[environment] : 0;
  if (o->base_url == NULL)
    o->base_url = environment_urls[environment];
  size_t len = strlen(o->base_url);
  while (len > 0 && o->base_url[len - 1] == '/')
    len--;
  lua_pushlstring(L, o->base_url, len);
  lua_pushvalue(L, -1);
  lua_setfield(L, r->peer, "base_url");
  o->base_url = lua_tostring(L, -1);
  lua_pop(L, 1);
  const char *why = uq_url_check(o->base_url, c->host, sizeof c->host);
  if (why != NULL)
    bad_option(L, r, "base_url", why);
  if (c->store.given && !login)
    bad_option(L, r, "token_store", "client_id and api_key expected with it");
  if (c->store.given) {
    lua_pushfstring(L, "%s %s", o->base_url, o->client_id);
    lua_setfield(L, r->peer, "token_store_key");
  }
  if (!uq_url_encrypted(o->base_url)) {
    if (o->proxy != NULL && o->proxy[0] != '\0')
      bad_option(L, r, "proxy", "not with a base_url that is not encrypted");
    o->proxy = ""; /* nor one from the environment */
  }
}

/* Raises if the file or folder of CA certificates cannot be used. For lack of
** descriptors a call finds out. */
static void check_trust(lua_State *L, const struct reading *r, const char *name,
                        const char *path, bool folder) {
  int error;
  if (path == NULL)
    return;
  const char *wrong = uq_trust_fault(path, folder, &error);
  if (wrong == NULL || error == EMFILE || error == ENFILE)
    return;
  lua_pushfstring(L, "%s: %s", path, wrong);
  bad_option(L, r, name, lua_tostring(L, -1));
}

void uqL_options_new(lua_State *L, int idx, struct uq_client *c) {
  struct reading r = {"new", FOR_NEW, NULL,         &c->options,
                      NULL,  c,       lua_gettop(L)};
  luaL_checktype(L, idx, LUA_TTABLE);
  c->options = defaults;
  read_table(L, &r, idx);
  settle_new(L, &r);
  check_trust(L, &r, "ca_file", c->options.ca_file, false);
  check_trust(L, &r, "ca_path", c->options.ca_path, true);
}

/* Pushes why the call is refused. An object of a call is refused as the call
** itself: under an event loop its user does not know of the object. */
static void push_refusal(lua_State *L, const struct reading *r) {
  size_t start = sizeof "start_" - 1;
  const char *name = r->method;
  if (strncmp(name, "start_", start) == 0)
    name += start;
  lua_pushfstring(L, "bad option '%s' to '%s' (%s)", r->refused->option, name,
                  r->refused->expected);
}

bool uqL_options_batch(lua_State *L, int idx, struct uq_options *o) {
  static const char *const of_queries[] = {"currency", "idempotency_key",
                                           "allow_key_reuse"};
  struct uq_refusal refused;
  struct reading r = {
      "batch", FOR_CALL | FOR_BEHALF | FOR_BATCH, NULL, o, &refused, NULL,
      0};
  refused.option = NULL;
  o->queued = true;
  if (lua_isnoneornil(L, idx))
    return true;
  luaL_checktype(L, idx, LUA_TTABLE);
  for (size_t i = 0; i < sizeof of_queries / sizeof *of_queries; i++) {
    lua_pushstring(L, of_queries[i]);
    lua_rawget(L, idx);
    if (!lua_isnil(L, -1))
      bad_option(L, &r, of_queries[i], "it belongs to a query");
    lua_pop(L, 1);
  }
  read_table(L, &r, idx);
  if (refused.option == NULL)
    return true;
  push_refusal(L, &r);
  return false;
}

/* The arguments of a call for one currency's balance. */
static void read_post(lua_State *L, const struct reading *r, int first) {
  struct uq_options *o = r->options;
  size_t len = 0;
  const char *currency = NULL; /* the argument */
  int table = first;
  if (!lua_istable(L, first) && !lua_isnone(L, first)) {
    if (lua_type(L, first) != LUA_TSTRING) { /* nil: an unset variable */
      lua_pushfstring(L, "currency: string or table expected, got %s",
                      luaL_typename(L, first));
      luaL_argerror(L, first, lua_tostring(L, -1));
    }
    currency = lua_tolstring(L, first, &len);
    o->currency[0] = '\0';
    table = first + 1;
  }
  bool given = !lua_isnoneornil(L, table);
  if (given)
    luaL_checktype(L, table, LUA_TTABLE);
  luaL_argcheck(L, lua_isnoneornil(L, table + 1), table + 1,
                "no further argument expected");
  if (given)
    read_table(L, r, table);
  if (currency != NULL) {
    if (o->currency[0] != '\0' || is_refused(r, "currency"))
      bad_option(L, r, "currency", "it was given as an argument already");
    const char *expected = uq_check_currency(currency, len);
    if (expected == NULL)
      memcpy(o->currency, currency, len + 1);
    else
      uq_refuse(r->refused, "currency", expected, len == 0);
  }
  if (o->currency[0] == '\0' && !is_refused(r, "currency"))
    luaL_error(L,
               "bad argument 'currency' to '%s' (a currency code such as "
               "\"USD\" expected, got %s)",
               r->method, given ? "nil" : "none");
  lua_pushliteral(L, "");
}

/* The option table of another call, if any. */
static void read_get(lua_State *L, const struct reading *r, int first) {
  struct uq_options *o = r->options;
  int table = lua_isnoneornil(L, first) ? 0 : first;
  if (table != 0)
    luaL_checktype(L, first, LUA_TTABLE);
  luaL_argcheck(L, lua_isnoneornil(L, first + 1), first + 1,
                "no further argument expected");
  o->currency[0] = '\0'; /* the client's is for balances */
  if (r->endpoint->login)
    o->on_behalf_of[0] = '\0';
  if (table != 0)
    read_table(L, r, table);
  if (!r->endpoint->behalf && o->on_behalf_of[0] != '\0')
    luaL_error(L,
               "'%s' is a call of the master account: this client has "
               "on_behalf_of",
               r->method);
  uqL_query_push(L, r->endpoint, table, r->method, o->currency, r->refused);
}

bool uqL_options_call(lua_State *L, int first, const struct uq_endpoint *e,
                      const char *method, struct uq_options *o) {
  bool post = e->params == NULL;
  struct uq_refusal refused;
  struct reading r = {method, FOR_CALL, e, o, &refused, NULL, 0};
  refused.option = NULL;
  r.where |= post ? FOR_POST : 0;
  r.where |= e->behalf ? FOR_BEHALF : 0;
  r.where |= method == e->each ? FOR_EACH : 0;
  if (post)
    read_post(L, &r, first);
  else
    read_get(L, &r, first);
  if (refused.option == NULL)
    return true;
  push_refusal(L, &r);
  return false;
}
