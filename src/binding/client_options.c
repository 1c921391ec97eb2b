/*
** client_options.c - see client_options.h. Reads the option table, then checks
** the options against each other and derives the rest.
** SPDX-License-Identifier: MIT
*/
#include "binding/client_options.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "binding/client.h"
#include "binding/option_reading.h"
#include "binding/options.h"
#include "engine/base/buf.h"
#include "engine/http/trust.h"
#include "engine/http/url.h"

static const struct {
  const char *url;
  int calls, logins; /* a minute, as the API allows */
} environments[UQ_ENVIRONMENTS] = {
    [UQ_SANDBOX] = {"https://api-sandbox.uqpaytech.com/api", 500, 60},
    [UQ_PRODUCTION] = {"https://api.uqpay.com/api", 300, 100}};

/* A client has a token, or credentials to get one. */
static void check_credentials(lua_State *L, const struct uq_reading *r) {
  const struct uq_client *c = r->client;
  bool token = c->token.text.len > 0 || c->token.function;
  bool api_key = c->api_key.len > 0, client_id = r->options->client_id != NULL;
  if (api_key && !client_id)
    uqL_option_error(L, r, "client_id",
                     "expected together with api_key, got nil");
  if (client_id && !api_key)
    uqL_option_error(L, r, "api_key",
                     "expected together with client_id, got nil");
  if (token && api_key)
    uqL_option_error(L, r, "token", "not together with client_id and api_key");
  if (!token && !api_key)
    uqL_option_error(L, r, "token",
                     "a string or function, or client_id and api_key, "
                     "expected, got nil");
}

/* Sets the base URL and the limits of the environment, the sandbox by default.
** A base_url of the program has no limit, unless the option rate_limit sets
** one. */
static void apply_environment(lua_State *L, const struct uq_reading *r) {
  struct uq_options *o = r->options;
  int environment = o->environment < 0 ? UQ_SANDBOX : o->environment;
  bool own_url = o->base_url != NULL;
  if (own_url && o->environment >= 0)
    uqL_option_error(L, r, "base_url", "not together with environment");
  if (o->rate_limit < 0)
    o->rate_limit = own_url ? 0 : environments[environment].calls;
  o->login_limit = own_url ? 0 : environments[environment].logins;
  if (!own_url)
    o->base_url = environments[environment].url;
}

/* Removes trailing slashes from the base URL, and checks it. */
static void check_base_url(lua_State *L, const struct uq_reading *r) {
  struct uq_options *o = r->options;
  struct uq_client *c = r->client;
  size_t len = strlen(o->base_url);
  while (len > 0 && o->base_url[len - 1] == '/')
    len--;
  lua_pushlstring(L, o->base_url, len);
  lua_pushvalue(L, -1);
  lua_setfield(L, r->user_value, "base_url");
  o->base_url = lua_tostring(L, -1);
  lua_pop(L, 1);
  const char *wrong = uq_url_check(o->base_url, c->host, sizeof c->host);
  if (wrong != NULL)
    uqL_option_error(L, r, "base_url", wrong);
}

/* The store's key names the address and the credentials that a token is for. */
static void set_store_key(lua_State *L, const struct uq_reading *r) {
  const struct uq_client *c = r->client;
  if (!c->store.given)
    return;
  if (c->api_key.len == 0)
    uqL_option_error(L, r, "token_store",
                     "client_id and api_key expected with it");
  lua_pushfstring(L, "%s %s", r->options->base_url, r->options->client_id);
  lua_setfield(L, r->user_value, "token_store_key");
}

/* Plain HTTP uses no proxy, not even one that the environment variables name:
** it would see the token. */
static void check_proxy(lua_State *L, const struct uq_reading *r) {
  struct uq_options *o = r->options;
  if (uq_url_encrypted(o->base_url))
    return;
  if (o->proxy != NULL && o->proxy[0] != '\0')
    uqL_option_error(L, r, "proxy",
                     "not with a base_url that is not encrypted");
  o->proxy = "";
}

/* Raises if the file or folder of CA certificates cannot be used. A lack of
** descriptors does not raise: it may be over when a call needs the file. */
static void check_trust(lua_State *L, const struct uq_reading *r,
                        const char *name, const char *path, bool folder) {
  int error;
  if (path == NULL)
    return;
  const char *wrong = uq_trust_fault(path, folder, &error);
  if (wrong == NULL || error == EMFILE || error == ENFILE)
    return;
  lua_pushfstring(L, "%s: %s", path, wrong);
  uqL_option_error(L, r, name, lua_tostring(L, -1));
}

/* With libcurl, waits take the time that they take. */
static void check_clock(lua_State *L, const struct uq_reading *r) {
  if (r->client->clock.given && !r->client->custom.given)
    uqL_option_error(L, r, "clock", "only together with transport");
}

void uqL_client_options(lua_State *L, int idx, struct uq_client *c) {
  struct uq_reading r = {.method = "new",
                         .scope = UQ_FOR_CLIENT,
                         .options = &c->options,
                         .client = c,
                         .user_value = lua_gettop(L)};
  c->options = uq_options_default;
  uqL_options_read(L, &r, idx);
  check_credentials(L, &r);
  apply_environment(L, &r);
  check_base_url(L, &r);
  set_store_key(L, &r);
  check_proxy(L, &r);
  check_clock(L, &r);
  check_trust(L, &r, "ca_file", c->options.ca_file, false);
  check_trust(L, &r, "ca_path", c->options.ca_path, true);
}
