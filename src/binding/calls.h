/*
** calls.h - the life of a call, and what the calls of a client wait for. See
** attempt.h, admission.h and login.h for the course of a call, call.h for what
** Lua has of it.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_CALLS_H
#define UQ_CALLS_H

#include <stdbool.h>

#include "binding/compat.h"
#include "binding/options.h"
#include "engine/api/endpoint.h"
#include "engine/base/buf.h"
#include "engine/base/error_kind.h"
#include "engine/base/uuid.h"
#include "engine/http/transfer.h"
#include "engine/policy/run_queue.h"

#pragma GCC visibility push(hidden)

#define UQ_CALL "uqpay.call" /* metatable */

struct uq_call;
struct uq_client;

/* What a call does next. `until` is a moment on uq_client_clock, after which its state
** is left even if nothing else happens. */
enum uq_call_state {
  UQ_CALL_START,     /* is to make an attempt, for which it needs a token */
  UQ_CALL_RENEWAL,   /* has a token: may begin the login that renews it */
  UQ_CALL_TOKEN,     /* waits for the client's login, until */
  UQ_CALL_STORE,     /* a login: tries the token store's lock again, until */
  UQ_CALL_ADMISSION, /* to take a slot under the rate limit, and be sent */
  UQ_CALL_QUEUED,    /* in the queue of the rate limit, until */
  UQ_CALL_SLOT,      /* its slot under the rate limit is known, until */
  UQ_CALL_IN_FLIGHT, /* its request was sent, until */
  UQ_CALL_BACKOFF,   /* the last attempt has failed, until */
  UQ_CALL_ENDED,
  UQ_CALL_STATES /* their number */
};

/* A request to the program's transport: see custom_transport.h. */
enum uq_custom_state {
  UQ_CUSTOM_NONE,
  UQ_CUSTOM_OPEN,    /* the program's function runs */
  UQ_CUSTOM_SERVED,  /* the same, in a coroutine of its own */
  UQ_CUSTOM_ANSWERED /* `response` has it */
};

/* What a state's function says. */
enum uq_verdict {
  UQ_GO,     /* the call is in another state, whose function is next */
  UQ_WAIT,   /* the call waits: its state says for what */
  UQ_RESULTS /* the call is over; call->pushed results are on the stack */
};

/* A state's function; idx is the index of the call. */
typedef enum uq_verdict uqL_state(lua_State *L, int idx, struct uq_call *call);

/* The course of a call of the program, or of a login. */
struct uq_course {
  bool is_login;
  uqL_state *states[UQ_CALL_STATES]; /* NULL: not of this course */
  /* A response was decoded. NULL: nothing to note. */
  void (*responded)(struct uq_call *call, bool good);
  /* An attempt has failed. True if another may be made at `wake`. NULL: the
  ** call's own options decide. */
  bool (*may_retry)(struct uq_call *call, double wake);
  /* The same, with the error table at the top. NULL: nothing to do. */
  void (*retries)(lua_State *L, int idx);
};

/* Why a call is ended from outside. */
struct uq_ending {
  enum uq_kind kind;
  const char *message;
  const char *stopped; /* the error's retry_stopped */
};

extern const struct uq_ending uq_ending_closed;   /* with its client */
extern const struct uq_ending uq_ending_canceled; /* by the program */
extern const struct uq_ending uq_ending_starved;  /* out of memory in a step */
extern const struct uq_ending uq_ending_broken;   /* an error in a step */

/* Times are seconds on uq_client_clock. */
struct uq_call {
  struct uq_task task;      /* in the client's run queue */
  struct uq_client *client; /* NULL: none yet. The user value keeps it alive */
  struct uq_call *next, *prev; /* among the client's calls in progress */
  const struct uq_course *course;
  const struct uq_endpoint *endpoint;
  const char *query; /* a string that the stack or the user value keeps */
  struct uq_options options;
  enum uq_call_state state;      /* changed by uq_call_enter only */
  const struct uq_ending *ended; /* why, if it was before its time */
  double started, deadline;
  struct uq_transfer *transfer; /* while in flight */
  struct uq_response response;  /* while it is decoded; of a request to the
                                   program's transport from its start on */
  struct uq_buf scratch;        /* the same */
  struct uq_buf earlier;        /* header block of an attempt before */
  struct {
    int count;       /* of the call, libcurl's own resends included */
    int resends;     /* of the last attempt, by libcurl, that are counted */
    double begun;    /* when the last one was sent ... */
    double end;      /* ... and when its time is over */
    bool reclaimed;  /* descriptors were collected for it */
    bool resent;     /* a connection was dead: once a call ... */
    bool fresh;      /* ... and the next attempt takes a new one */
    unsigned serial; /* of the token that it was sent with */
  } attempt;
  struct {
    enum uq_custom_state state;
    unsigned number; /* of the request */
  } custom;
  int retries;
  struct {
    double queued;    /* since then it waits for a slot; 0: it does not */
    bool admitted;    /* it has left the queue, to take its slot */
    bool shared_slot; /* it waits for a slot taken among processes */
  } admission;
  struct {
    bool asked;   /* the token function was, for this call */
    int renewals; /* of a token that was refused */
  } token;
  struct {
    unsigned number;     /* what the next attempt waits for; 0: none. Of a
                            login: its own number */
    int failures;        /* attempts of logins that failed since then */
    bool begun;          /* a login was, for the next attempt */
    double limit;        /* of a login: seconds for an attempt */
    double stays;        /* until then it stays with one that it does not need,
                            see login.c; 0: it does not */
    struct uq_buf token; /* of a login: its result */
  } login;
  struct {
    struct uq_link link; /* in one of its lists */
    int number;          /* among its calls; 0: of no batch */
    bool reading;        /* its query */
  } batch;               /* see batch.c */
  bool stepped;          /* a step of it runs */
  bool is_object;        /* the program has it */
  int results;           /* so many of them are in its user value; 0: not yet */
  int pushed;            /* by its last step */
  bool keep_text;        /* in the user value, of the body of a success */
  char key[UQ_UUID_LEN + 1];
  char body[UQ_BODY_MAX];
};

/* ---- one call ------------------------------------------------------------ */

/* Makes it a call that has ended. */
void uq_call_init(struct uq_call *call);

/* Pushes a call that has ended, whose user value is the table at the top, and
** pops that. */
struct uq_call *uqL_call_push(lua_State *L);

/* The same with a user value of its own, which keeps the client at `client`
** (absolute), and the query, the string at the top, which is popped. */
struct uq_call *uqL_call_push_object(lua_State *L, int client);

/* Begins a call of the client: it is in progress until uq_call_end. query must
** outlive it. False: the client is closed. */
bool uq_call_begin(struct uq_call *call, struct uq_client *c,
                   const struct uq_course *course, const struct uq_endpoint *e,
                   const char *query, const struct uq_options *o);

/* Changes the state. `until`: see there; HUGE_VAL: no such moment. */
void uq_call_enter(struct uq_call *call, enum uq_call_state state,
                   double until);

/* Changes the state of its request to the program's transport. */
void uq_call_set_custom(struct uq_call *call, enum uq_custom_state state);

/* Ends the call, as a success or a failure. Nothing if it has ended already. */
void uq_call_end(struct uq_call *call, bool good);

/* Ends the call for a reason from outside. */
void uq_call_stop(struct uq_call *call, const struct uq_ending *why);

/* True if the call has ended. After any call of Lua, ask again. */
bool uq_call_is_over(const struct uq_call *call);

/* True if a step of the call has something to do. */
bool uq_call_is_due(const struct uq_call *call);

/* The transport's report that the transfer of a call is finished. */
void uq_call_done(void *call);

/* Wipes what is left of a call whose response is not decoded any more. */
void uq_call_forget(struct uq_call *call);

/* Counts the resends that libcurl has made by itself for a call in flight, and
** charges them to the rate limit. */
void uq_call_count_resends(struct uq_call *call);

/* The rate limiter that the call obeys. */
struct uq_rate_limiter *uq_call_limiter(const struct uq_call *call);

/* ---- all calls of a client ----------------------------------------------- */

/* Ends every call of the client with kind `canceled`. */
void uq_calls_close(struct uq_client *c);

/* True if a call other than `except` waits for the client's login. */
bool uq_calls_want_login(const struct uq_client *c,
                         const struct uq_call *except);

/* The client's login is over: the calls that wait for it are due. */
void uq_calls_login_over(struct uq_client *c);

/* Steps the transport, without waiting. */
void uq_calls_step(struct uq_client *c);

/* Steps the transport, waiting at most `limit` seconds, or a moment if that is
** longer, for the network and for what the calls wait for; then runs a debug
** hook, by which an interpreter reports Ctrl-C. idx is the index of the client
** or of one of its calls. False: pushes what was raised. The client may be
** closed afterwards. */
bool uqL_calls_step(lua_State *L, struct uq_client *c, int idx, double limit);

/* If the program has the clock, and the calls wait for time only, sleeps until
** the time has come. Raises what the clock does. */
void uqL_calls_pass_time(lua_State *L, struct uq_client *c, int idx);

/* From now on the client's descriptor is readable while that is so: the drivers
** of event loops let the time pass. */
void uq_calls_notify_of_time(struct uq_client *c);

/* After steps, for those that wait on the client's descriptor: sets its timer.
** notify: makes it readable if a call is due or passed. */
void uq_calls_publish(struct uq_client *c, bool notify);

/* Steps the transport until a call of the client is due, at most for `limit`
** seconds. True if one is. idx: see uqL_calls_step. The client may be closed
** afterwards. Raises what a step raises. */
bool uqL_calls_wait(lua_State *L, struct uq_client *c, int idx, double limit);

/* The client's descriptor. -1: none. The client may be closed
** afterwards. */
int uqL_calls_fd(lua_State *L, struct uq_client *c);

/* When uqL_calls_wait is due on uq_client_clock, whatever the descriptor says; below
** 0: not for its own sake. */
double uq_calls_due(const struct uq_client *c);

/* Seconds in which nothing is expected to happen for the calls of a client that
** has some; 0: one is due; below 0: an event has been expected for so long. */
double uq_calls_idle(const struct uq_client *c);

/* The id of the next call, or batch, that is due and not yet reported; 0: none.
*/
double uq_calls_next(struct uq_client *c);

/* The consumer of uq_calls_next does not wait for the call of that id. Another
** one may, on the descriptor: that is readable until the call is stepped. An
** event loop of cqueues may have several controllers that share a client. */
void uq_calls_pass(struct uq_client *c, double id);

/* A consumer has failed, and may have lost the report of a call or batch that
** is due: all such are reported once more. */
void uq_calls_recall(struct uq_client *c);

/* The call of a task, which is not a batch's. */
struct uq_call *uq_call_of(struct uq_task *task);

#pragma GCC visibility pop

#endif
