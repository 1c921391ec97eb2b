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
#include "engine/base/uuid.h"
#include "engine/policy/rate_limiter.h"
#include "engine/policy/run_queue.h"

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

#define UQ_KEYS_REMEMBERED 32

struct uq_client {
  struct uq_transport *transport; /* NULL: closed */
  struct uq_options options;
  char host[UQ_HOST_MAX]; /* for messages */
  struct uq_buf token;    /* as sent; empty: there is none yet */
  struct uq_buf refused;  /* the token that the API last refused, as sent */
  struct uq_buf api_key;  /* empty: no login */
  double token_end;       /* Unix seconds; 0: not told */
  double token_until;     /* the same on uq_clock, which nobody sets back */
  double token_life;      /* seconds, when it was got */
  unsigned token_serial;  /* counts the tokens */
  bool token_used;        /* the API has accepted the token */
  unsigned
      token_refusals;    /* tokens of logins in a row that it never accepted */
  struct uq_call *login; /* the login in progress, see login.c */
  double login_limit;    /* seconds for its next attempt; 0: not known yet */
  double login_pause;    /* on uq_clock: none ahead of need before */
  double login_after;    /* the same: none at all */
  unsigned logins;       /* counts those begun ... */
  unsigned login_failed; /* ... and names the last that failed */
  bool token_function, token_running;
  bool share;         /* there is a token store; ... */
  bool share_locked;  /* ... the client has its lock; ... */
  bool share_running; /* ... a function of it runs, or a login is finished */
  bool token_stored;  /* the token is out of it, not of a login of ours */
  bool turns_shared;  /* other processes count the same turns */
  bool pauses_shared; /* they keep to the same pauses */
  bool on_request, on_response, on_retry;
  struct uq_call *calls;
  struct uq_call *spare;        /* for the next blocking call; NULL: none */
  struct uq_run_queue schedule; /* of its calls */
  struct uq_rate_limiter pace, login_pace;
  double ids;           /* given to calls so far */
  double reclaim_pause; /* on uq_clock: no collection for descriptors before */
  struct uq_stats stats;
  char keys[UQ_KEYS_REMEMBERED][UQ_UUID_LEN + 1]; /* callers' own, a ring */
  unsigned next_key;
};

/* Registers the class. */
void uqL_client_open(lua_State *L);

/* uqpay.new */
int uqL_client_new(lua_State *L);

/* Where the peer table of a client keeps its spare call and its login, or
** false. To change these fields allocates nothing. */
#define UQ_USER_VALUE_SPARE 1
#define UQ_USER_VALUE_LOGIN 2

/* Pushes the peer table of the client, or of the client of the call, at idx. */
void uqL_client_user_value(lua_State *L, int idx);

#pragma GCC visibility pop

#endif
