/*
** options.h - the options of clients, calls and batches: one row for each.
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

struct uq_reading;

#define UQ_TIMEOUT_MAX 86400 /* seconds */

enum uq_amounts { UQ_AMOUNTS_NUMBER, UQ_AMOUNTS_STRING, UQ_AMOUNTS_EXACT };
enum uq_environment { UQ_SANDBOX, UQ_PRODUCTION, UQ_ENVIRONMENTS };

/* Strings are borrowed from the copies that the client's user value keeps, NULL
** if not given; char arrays are copies, "" if not given. */
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
  int environment;  /* enum uq_environment; -1: not given */
  int amounts;      /* enum uq_amounts */
  int http_version; /* enum uq_http_version */
  int rate_limit;   /* calls a minute; 0: no limit; -1: not given */
  int login_limit;  /* logins a minute; 0: no limit */
  int concurrency;  /* of a batch */
  int on_error;     /* of an iterator: 0 raises, 1 returns */
  bool allow_key_reuse;
  bool queued; /* waits for the rate limit do not count against the timeout */
};

extern const struct uq_options uq_options_default;

/* Reads the option table at idx. Raises for an unknown option, a wrong type,
** and a wrong value unless r->refused takes it. */
void uqL_options_read(lua_State *L, const struct uq_reading *r, int idx);

#pragma GCC visibility pop

#endif
