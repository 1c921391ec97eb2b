/*
** client.h - the client userdata.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_CLIENT_H
#define UQ_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include "binding/compat.h"
#include "binding/options.h"
#include "engine/base/buf.h"
#include "engine/policy/rate_limiter.h"
#include "engine/policy/run_queue.h"
#include "engine/policy/sent_keys.h"

#pragma GCC visibility push(hidden)

struct uq_call;

#define UQ_CLIENT "uqpay.client" /* metatable */
#define UQ_CLOSED "attempt to use a closed uqpay client"

#define UQ_HOST_MAX 256

struct uq_stats {
  double calls, succeeded, failed;
  double attempts, retries;
  double connections;
  double logins;
  double hook_errors;
};

/* The access token that the client has: see token.h. Texts as they are sent. */
struct uq_client_token {
  struct uq_buf text;    /* empty: none yet */
  struct uq_buf refused; /* the one that the API last refused */
  double end;            /* Unix seconds; 0: not known */
  double until;          /* the same on uq_client_clock, never set back */
  double life;           /* seconds, when it was received */
  unsigned serial;       /* counts the tokens */
  unsigned refusals; /* tokens of logins in a row that were never accepted */
  bool accepted;     /* the API has accepted it */
  bool from_store;   /* it is out of the token store, not of a login */
  bool function;     /* the user gives tokens by a function ... */
  bool asking;       /* ... which is running */
};

/* The login: see login.h. Times are seconds on uq_client_clock. */
struct uq_client_login {
  struct uq_call *call; /* in progress, or NULL */
  double limit;         /* seconds for its next attempt; 0: not known yet */
  double pause;         /* no login ahead of need before */
  double after;         /* no login at all before */
  unsigned begun;       /* counts the logins ... */
  unsigned failed;      /* ... and names the last that failed */
  struct uq_rate_limiter limiter;
};

/* The token store: see token_store.h. */
struct uq_client_store {
  bool given;
  bool locked;  /* the client has its lock */
  bool running; /* one of its functions runs, or a login is being finished */
};

/* The program's clock: see client_clock.h. */
struct uq_client_time {
  bool given;
  bool notifies; /* the descriptor is readable while calls wait for time only */
  double now;    /* Unix seconds, as it was last read */
  double clock;  /* the same, for waits: from 1 on, never set back */
};

/* The program's transport: see custom_transport.h. */
struct uq_client_custom {
  bool given;
  unsigned requests; /* counts them */
  int served;        /* requests that coroutines have and have not answered */
};

struct uq_client {
  struct uq_transport *transport; /* NULL: closed */
  struct uq_options options;
  char host[UQ_HOST_MAX]; /* for messages */
  struct uq_buf api_key;  /* empty: no login */
  struct uq_client_token token;
  struct uq_client_login login;
  struct uq_client_store store;
  struct uq_client_time clock;
  struct uq_client_custom custom;
  struct {
    bool request, response, retry;
  } hooks;
  struct {
    bool slots;  /* other processes count the same calls */
    bool pauses; /* they keep to the same pauses */
  } shared;
  struct uq_rate_limiter limiter;
  struct uq_run_queue queue;   /* of its calls */
  struct uq_call *calls;       /* in progress, a list */
  struct uq_call *cached_call; /* for the next blocking call; NULL: none */
  double ids;                  /* given to calls so far */
  double reclaim_pause;        /* no collection for descriptors before */
  struct uq_stats stats;
  struct uq_sent_keys sent_keys;
};

/* Registers the class. */
void uqL_client_open(lua_State *L);

/* uqpay.new */
int uqL_client_new(lua_State *L);

/* Pushes a function(client, ...) that starts a call of the endpoint, for Lua
** code that waits for the call: client:ready does not return it, and messages
** call the function by the endpoint's name. */
void uqL_client_push_start(lua_State *L, int endpoint);

#pragma GCC visibility pop

#endif
