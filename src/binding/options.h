/*
** options.h - the options of clients, calls and batches.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_OPTIONS_H
#define UQ_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "binding/check.h"
#include "binding/compat.h"
#include "engine/base/uuid.h"

#pragma GCC visibility push(hidden)

struct uq_client;
struct uq_endpoint;

#define UQ_TIMEOUT_MAX 86400 /* seconds */

enum uq_amounts { UQ_AMOUNTS_NUMBER, UQ_AMOUNTS_STRING, UQ_AMOUNTS_EXACT };

/* Strings are borrowed from the copies that the client's peer table keeps, NULL
** if not given; words are here, "" if not given. */
struct uq_options {
  const char *base_url;
  const char *ca_file;
  const char *ca_path;
  const char *pinned_public_key;
  const char *proxy;
  const char *user_agent;
  const char *client_id;
  char currency[UQ_CURRENCY_MAX + 1];
  char on_behalf_of[UQ_ACCOUNT_MAX + 1];
  char idempotency_key[UQ_UUID_LEN + 1];
  double timeout; /* seconds, like all below */
  double connect_timeout;
  double retry_delay;
  double retry_delay_max;
  int max_retries;
  int max_response_bytes;
  int environment; /* index into the names; -1: not given */
  int amounts;     /* enum uq_amounts */
  int http_version;
  int rate_limit;  /* calls a minute; 0: no limit */
  int login_limit; /* the same of logins */
  int concurrency; /* of a batch */
  int on_error;    /* of an iterator: 0 raises, 1 returns */
  bool allow_key_reuse;
  bool queued; /* waits for the rate limit do not count as its time */
};

/* Reads the table at idx given to uqpay.new, into c->options, c->token,
** c->api_key and the peer table on the top of the stack. Raises, naming the
** option. */
void uqL_options_new(lua_State *L, int idx, struct uq_client *c);

/* Reads the arguments of the endpoint's method (e->each: of its iterator) from
** first on: a currency and an option table, or the table alone. o holds the
** client's options. True: pushes the query of the request. False: a value is
** refused, and the message that says so is pushed. Raises, naming the argument
** or option, what is a mistake in the program. */
bool uqL_options_call(lua_State *L, int first, const struct uq_endpoint *e,
                      const char *method, struct uq_options *o);

/* Reads the option table of a batch at idx, if there is one. o holds the
** client's options. False: a value is refused, and the message is pushed. Else
** as above. */
bool uqL_options_batch(lua_State *L, int idx, struct uq_options *o);

#pragma GCC visibility pop

#endif
