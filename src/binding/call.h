/*
** call.h - a call: its state, its life, and its object.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_CALL_H
#define UQ_CALL_H

#include <stdbool.h>
#include <stddef.h>

#include "binding/compat.h"
#include "binding/options.h"
#include "engine/api/endpoint.h"
#include "engine/base/buf.h"
#include "engine/base/error_kind.h"
#include "engine/base/uuid.h"
#include "engine/http/transport.h"
#include "engine/policy/run_queue.h"

#pragma GCC visibility push(hidden)

struct uq_client;

#define UQ_CALL "uqpay.call" /* metatable */

/* Seconds for the engine to notice a deadline by itself. */
#define UQ_GRACE 0.1

enum uq_call_state {
  UQ_CALL_READY,     /* to begin an attempt */
  UQ_CALL_IN_FLIGHT, /* an exchange is; until turn.wake at the latest */
  UQ_CALL_WAITING,   /* until turn.wake */
  UQ_CALL_LOGIN,     /* for the client's login; until turn.wake, too */
  UQ_CALL_QUEUED,    /* until it is called; until turn.wake at the latest */
  UQ_CALL_ENDED
};

/* What a call in the state WAITING waits for. */
enum uq_wait {
  UQ_WAIT_RETRY, /* the back-off after a failed attempt, or a refused token */
  UQ_WAIT_TURN,  /* the rate limit */
  UQ_WAIT_LOCK   /* the lock of the token store */
};

/* What ends a call from outside. */
struct uq_ending {
  enum uq_kind kind;
  const char *message;
  const char *stopped; /* the error's retry_stopped */
};

struct uq_call {
  struct uq_task turn;      /* in the client's schedule; the first member */
  struct uq_client *client; /* NULL: ended, or the client is closed */
  struct uq_client *home;   /* the same, never NULL: the peer table keeps it */
  struct uq_call *next, *prev;
  const struct uq_endpoint *endpoint;
  const char *query; /* a string that the stack or the peer table keeps */
  struct uq_options options;
  enum uq_call_state state;
  enum uq_wait waits_for;
  const struct uq_ending *ended; /* why, if it was before its time */
  struct uq_transfer *exchange;  /* while in flight */
  struct uq_response answer;     /* while it is judged */
  struct uq_buf scratch;         /* the same */
  struct uq_buf earlier;         /* header block of an attempt before */
  struct uq_buf token;           /* what a login has come to */
  double id;                     /* among the client's calls */
  double started, deadline;      /* on uq_clock */
  double attempted;              /* when the last attempt began */
  double attempt_end;            /* when its time is over */
  double lined_up;               /* when it came into the line; 0: it did not */
  bool called;                   /* out of the line, to take its turn */
  bool granted;                  /* it waits for its turn among processes */
  int attempts, retries;
  int renewals;          /* of a token that was refused */
  unsigned login;        /* what the next attempt waits for; 0: no login. Of a
                            login: its own number */
  int login_failures;    /* attempts of logins that failed while it waited */
  double attends;        /* until then it stays with a login: see login.c */
  unsigned token_serial; /* the token of the last attempt */
  bool login_begun;      /* it has, for the next attempt */
  bool token_asked;      /* the token function was, for this call */
  int resends;           /* of the attempt, by libcurl itself, and counted */
  bool resumed;          /* the attempt was, when descriptors were lacking */
  bool resent;           /* because a connection was dead: once a call ... */
  bool fresh;            /* ... and the next attempt has one of its own */
  bool busy;             /* being stepped */
  bool is_login;         /* the client's own: others wait for it */
  bool is_object;        /* a call object, with a peer table of its own ... */
  int results;           /* ... that keeps so many of them, when it is over */
  bool keeps_text;       /* ... and the body of its answer, in a success */
  char key[UQ_UUID_LEN + 1];
  char body[UQ_BODY_MAX];
};

/* Ends the call, as a success or a failure: its exchange and its turn go back,
** its client forgets it. Nothing if it has ended already. */
void uq_call_end(struct uq_call *call, bool good);

/* Ends the call with kind `canceled`. */
void uq_call_cancel(struct uq_call *call);

/* Steps the call object at idx. True: it has its results. Raises what its step
** raises, out of memory above all; the call is ended then. */
bool uqL_call_step(lua_State *L, int idx);

/* Pushes a call that logs the client at idx (absolute) in, not begun. NULL, and
** nothing of use is pushed: the client is closed. */
struct uq_call *uqL_call_login(lua_State *L, int client,
                               const struct uq_options *o);

/* Registers the class. */
void uqL_call_open(lua_State *L);

/* Makes a call of the client at idx (absolute), whose query is the string at
** the top, and blocks until it is finished, up to its timeout. Returns the
** number of results pushed: the balance, or nil, message and error. Raises if
** the client is closed, and what a debug hook raises (the interpreter's
** Ctrl-C); the call is then canceled. */
int uqL_call_run(lua_State *L, int client, const struct uq_endpoint *e,
                 const struct uq_options *o);

/* Replaces the query at the top by a call object, begun. Raises if the client
** is closed. */
void uqL_call_start(lua_State *L, int client, const struct uq_endpoint *e,
                    const struct uq_options *o);

/* The failure of a call that is not begun: the message at the top says which
** value of its options is refused. Returns the number of results pushed. */
int uqL_call_refuse(lua_State *L, const struct uq_endpoint *e,
                    const struct uq_options *o);

/* The same: replaces the message by a call object that has ended. */
void uqL_call_start_refused(lua_State *L, int client,
                            const struct uq_endpoint *e,
                            const struct uq_options *o);

/* Lets the network go on until a call of the client can be stepped, at most for
** `limit` seconds. Can one? The client may be closed afterwards. Raises what a
** debug hook raises. */
bool uqL_call_wait(lua_State *L, struct uq_client *c, double limit);

/* The client's descriptor, in line with its calls. -1: there is none. The
** client may be closed afterwards. */
int uqL_call_fd(lua_State *L, struct uq_client *c);

/* When uqL_call_wait is due on uq_clock, whatever the descriptor says; below 0:
** not for its own sake. */
double uq_call_due(const struct uq_client *c);

/* Seconds in which nothing is expected to happen for the calls of a client that
** has some; 0: one can go on; below: something has been expected for so long.
*/
double uq_call_idle(const struct uq_client *c);

/* The transport's word that the exchange of a call is finished. */
void uq_call_ready(void *call);

/* The number of the next call that can be stepped; 0: there is none. Each is
** named once. */
double uq_call_next(struct uq_client *c);

/* The call of that number was named to somebody who does not know it: whoever
** waits for it must see it on the descriptor. */
void uq_call_pass(struct uq_client *c, double id);

/* Those calls, and whatever else was named and not stepped, are named once
** more. */
void uq_call_recall(struct uq_client *c);

/* Ends every call of the client with kind `canceled`. */
void uq_call_cancel_all(struct uq_client *c);

#pragma GCC visibility pop

#endif
