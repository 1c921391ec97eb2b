/*
** call.h - what the files of a call share: its state. See call.c for its life,
** attempt.c for its course, hook.c for what the user's hooks are told.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_CALL_H
#define UQ_CALL_H

#include "binding/uqpay.h"

#pragma GCC visibility push(hidden)

/* Seconds for the engine to notice a deadline by itself. */
#define UQ_GRACE 0.1

enum uq_call_state {
  UQ_CALL_READY,     /* to begin an attempt */
  UQ_CALL_IN_FLIGHT, /* an exchange is; until turn.wake at the latest */
  UQ_CALL_WAITING,   /* until turn.wake */
  UQ_CALL_LOGIN,     /* for the client's login; until turn.wake, too */
  UQ_CALL_QUEUED,   /* until it is called; until turn.wake at the latest */
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
  struct uq_response answer;       /* while it is judged */
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

/* ---- call.c ------------------------------------------------------------- */

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

/* ---- attempt.c ---------------------------------------------------------- */

/* Lets the call at idx go on without waiting. 0: it is not finished; else the
** number of results pushed: the balance, or nil, message and error. */
int uqL_attempt_step(lua_State *L, int idx);

/* Is it at work, rather than waiting for a moment? */
bool uq_attempt_ready(const struct uq_call *call);

/* Reads what may have come for a call in flight that no other step reads for.
 */
void uq_attempt_look(const struct uq_call *call);

/* Counts the resends that libcurl has made by itself for a call in flight, and
** charges them to the rate limit. */
void uq_attempt_count_resends(struct uq_call *call);

/* Whose turns it takes under the rate limit. */
struct uq_rate_limiter *uq_attempt_rate_limiter(const struct uq_call *call,
                                struct uq_client *c);

/* ---- hook.c ------------------------------------------------------------- */

/* Each is called only if the client has the hook. Afterwards the client may be
** closed. */

/* Before an attempt. */
void uqL_hook_request(lua_State *L, int idx);

/* Of the answer; at the top: the result, or the error table. */
void uqL_hook_response(lua_State *L, int idx, bool good,
                       const struct uq_secrets *secrets);

/* Of the retry that the error table at the top leads to. */
void uqL_hook_retry(lua_State *L, int idx, double wait);

#pragma GCC visibility pop

#endif
