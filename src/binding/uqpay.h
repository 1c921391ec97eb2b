/*
** uqpay.h - the one internal header of the binding.
**
** Resource rules, which every file of the binding keeps:
** 1. A userdata is made closed, with its metatable, and then acquires. Every
**    release sets its field to NULL first; __gc, __close and close() are one
**    idempotent function; use after close raises one fixed message.
** 2. A C allocation may be live across a Lua API call only if a userdata on
**    the stack owns it: any Lua call may longjmp.
** 3. No Lua API below a libcurl callback. The engine fills C buffers; results
**    are pushed after curl has returned.
** 4. Close order: exchanges, then the transport (handles, multi, poller).
** 5. A call keeps its client alive (peer table); the client knows its calls by
**    an intrusive list. No weak tables, no light userdata, no globals.
** 6. Tokens and header memory are wiped before they are freed.
** 7. After a fork the child refuses with kind `forked` and abandons what it
**    inherited: it never writes on the parent's connections.
** 8. Any call of Lua that allocates may run a user's finalizer, which may use
**    the client, close it, or fork; so may hooks, the token function and
**    metamethods. What is used after such a call belongs to a userdata on the
**    stack and to nobody else, or is looked at again.
**
** uqL_ functions touch a Lua state and may raise its memory error; what else
** they raise is said at each.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_UQPAY_H
#define UQ_UQPAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "binding/check.h"
#include "binding/compat.h"
#include "engine/number/decimal.h"
#include "engine/base/error_kind.h"
#include "engine/policy/rate_limiter.h"
#include "engine/base/redact.h"
#include "engine/policy/retry.h"
#include "engine/policy/run_queue.h"
#include "engine/http/transport.h"
#include "engine/base/uuid.h"

#if defined(__GNUC__)
#define UQ_EXPORT __attribute__((visibility("default")))
#else
#define UQ_EXPORT
#endif

#pragma GCC visibility push(hidden)

#define UQ_VERSION "0.1.0"

#define UQ_CLIENT "uqpay.client" /* metatables */
#define UQ_CALL "uqpay.call"
#define UQ_ERROR "uqpay.error"
#define UQ_AMOUNT "uqpay.amount"

#define UQ_CLOSED "attempt to use a closed uqpay client"

#define UQ_HOST_MAX 256
#define UQ_URL_MAX 2200
#define UQ_QUERY_MAX 1024

/* ---- auxlib.c ----------------------------------------------------------- */

/* Registers a class: its metatable, and methods behind __index. */
void uqL_class(lua_State *L, const char *name, const luaL_Reg *metamethods,
               const luaL_Reg *methods);

/* Pushes what a Lua module returns. */
void uqL_require(lua_State *L, const char *module);

/* The userdata of the class `name` at 1. If there is another value, raises and
** says how the method is called, by an example of a variable's name. */
void *uqL_self(lua_State *L, const char *name, const char *example);

/* Raises if the value at 1 is the module, as in uqpay:new{...}: of that call
** `arguments` is "{...}". */
void uqL_check_dot(lua_State *L, const char *function, const char *arguments);

/* The length of the list that is the argument at idx, called name in messages.
** Raises if it has holes, keys of other kinds, or inherits elements. */
int uqL_check_list(lua_State *L, int idx, const char *name);

/* ---- options.c ---------------------------------------------------------- */

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

struct uq_client;
struct uq_endpoint;

/* Reads the table at idx given to uqpay.new, into c->options, c->token,
** c->api_key and the peer table on the top of the stack. Raises, naming the
** option. */
void uqL_options_new(lua_State *L, int idx, struct uq_client *c);

/* A value that may come from outside the program and cannot be sent: the call
** fails with kind `invalid_request`. */
struct uq_refusal {
  const char *option; /* NULL: all values are good */
  char expected[100];
};

/* Refuses an option's value. Of several options the first by name counts. */
void uq_refuse(struct uq_refusal *refused, const char *option,
               const char *expected, bool empty);

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

/* ---- client.c ----------------------------------------------------------- */

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
  struct uq_call *spare;       /* for the next blocking call; NULL: none */
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

/* ---- internal.c --------------------------------------------------------- */

/* Pushes what start of uqpay.internal needs to know of a batch: the options of
** its calls. */
void uqL_batch_new(lua_State *L, const struct uq_options *o);

/* ---- reclaim.c ---------------------------------------------------------- */

/* If descriptors are lacking: collects garbage, which may hold some. False: it
** did not. c is the client that needs them, or NULL; it may be closed
** afterwards. */
bool uqL_reclaim(lua_State *L, struct uq_client *c);

/* ---- token.c ------------------------------------------------------------ */

/* How many bytes of a token are a "Bearer " in front? */
size_t uq_token_prefix(const char *text, size_t len);

/* What is wrong with a token; NULL: nothing. Never quotes it. */
const char *uq_token_check(const char *text, size_t len);

/* Checks a token and appends it to an empty buffer as "Bearer <token>". NULL:
** done; else what is wrong with it. */
const char *uq_token_take(struct uq_buf *token, const char *text, size_t len);

/* Puts a token in the place of the client's. end: its own in Unix seconds (or
** milliseconds), 0 if not told; assumed: the life to believe in then, or 0.
** NULL: done; else what is wrong with it. */
const char *uq_token_put(struct uq_client *c, const char *text, size_t len,
                         double end, double assumed);

/* Forgets the client's token, but for what it was. */
void uq_token_drop(struct uq_client *c);

/* The API has accepted the token of that number. */
void uq_token_accepted(struct uq_client *c, unsigned serial);

/* Is this the token that the client has, or that it has dropped last? */
bool uq_token_known(const struct uq_client *c, const char *text, size_t len);

/* Seconds that the client's token is good for: huge if it has no end, 0 if
** there is none. */
double uq_token_left(const struct uq_client *c);

/* Why the token function must be asked before a call: "new" (a token without an
** end is good for one call) or "expired"; NULL: it need not be. */
const char *uq_token_need(const struct uq_client *c);

/* Asks the token function, and puts what it gives in the place of the client's
** token. owner is the index of the client or of a call of it. False: pushes why
** there is no new token; the client may be closed now. */
bool uqL_token_ask(lua_State *L, int owner, struct uq_client *c,
                   const char *reason);

/* ---- share.c ------------------------------------------------------------ */

enum uq_token_store_state {
  UQ_TOKEN_STORE_FOUND, /* a token */
  UQ_TOKEN_STORE_LOGIN, /* none: log in; the store is locked if it can be */
  UQ_TOKEN_STORE_BUSY,  /* somebody else is logging in: ask again */
  UQ_TOKEN_STORE_FAILED /* pushes why */
};

/* Looks into the client's token store, and locks it for a login. FOUND: pushes
** the token and its end. peer is the index of the client's peer table. The
** client may be closed afterwards. */
enum uq_token_store_state uqL_token_store_begin(lua_State *L, struct uq_client *c,
                                    int peer);

/* Gives the lock back, if it is held. */
void uqL_token_store_end(lua_State *L, struct uq_client *c, int peer);

/* Puts a token, the client's, into the store. */
void uqL_token_store_put(lua_State *L, struct uq_client *c, int peer,
                   const char *token, size_t len);

/* Asks for a turn of those that several processes share, for the call at idx.
** True: it comes in so many seconds; false: that would be more than are left.
** The client may be closed afterwards. */
bool uqL_token_store_turn(lua_State *L, struct uq_client *c, int idx, double left,
                    double *wait);

/* Seconds that are left of a pause that some process has told, for the call at
** idx; 0: there is none. The client may be closed afterwards. */
double uqL_token_store_pause(lua_State *L, struct uq_client *c, int idx);

/* The call at idx tells the other processes to pause for so many seconds. The
** client may be closed afterwards. */
void uqL_token_store_hold(lua_State *L, struct uq_client *c, int idx, double pause);

#define UQ_TOKEN_STORE_RETRY 0.05 /* seconds between two tries for the lock */

/* ---- login.c ------------------------------------------------------------ */

enum uq_login_state { UQ_LOGIN_DONE, UQ_LOGIN_WAIT, UQ_LOGIN_FAILED };

/* Has the client of the call at idx, which logs in by itself, a token for it?
** WAIT: ask again when the call is ready. FAILED: pushes the error table. */
enum uq_login_state uqL_login(lua_State *L, int idx);

/* Seconds that the next attempt of a login may take. */
double uq_login_limit(const struct uq_client *c);

/* An attempt of a login is over, with its outcome at hand. */
void uq_login_took(const struct uq_call *login);

/* An attempt of the login has failed; another can be made at `wake`. True if
** some call waits for it that has retries and time left, or if none waits and
** the client's max_retries allow it. */
bool uq_login_wanted(const struct uq_call *login, double wake);

/* An attempt of the login at idx has failed, and another will be made: keeps
** the error table at the top for calls that cannot wait for that. */
void uqL_login_keep_error(lua_State *L, int idx);

#define UQ_LOGIN_FAILED_TEXT "login failed: " /* messages begin with it */

/* The call at idx has ended: if nobody waits any more for a login that holds
** the lock of the token store, that ends, too, and gives the lock back. */
void uqL_login_abandon_if_unwanted(lua_State *L, int idx);

/* ---- endpoint.c --------------------------------------------------------- */

enum uq_field_type {
  UQ_FIELD_TEXT,     /* a string */
  UQ_FIELD_PLAIN,    /* a string without control bytes */
  UQ_FIELD_NAME,     /* the same, and not empty */
  UQ_FIELD_CURRENCY, /* the same: the currency that was asked for, if one was */
  UQ_FIELD_AMOUNT,   /* a number, or its digits in a string; "" is none */
  UQ_FIELD_COUNT,    /* a whole number from 0 on */
  UQ_FIELD_NAMES,    /* a list of strings; one string becomes a list */
  UQ_FIELD_ITEMS,    /* a list of objects: the endpoint's items; absent if there
                        can be none */
  UQ_FIELD_TOKEN,    /* what can be sent as a token */
  UQ_FIELD_ANY
};

struct uq_field {
  const char *name; /* NULL ends a schema */
  enum uq_field_type type;
  bool optional; /* may be absent or null */
};

enum uq_param_type {
  UQ_PARAM_COUNT,    /* a whole number from 1 to max */
  UQ_PARAM_WORD,     /* visible ASCII */
  UQ_PARAM_CURRENCY, /* answers must be in it */
  UQ_PARAM_UUID,
  UQ_PARAM_TIME /* with a zone */
};

struct uq_param {
  const char *name; /* NULL ends a list */
  enum uq_param_type type;
  int max;
  const char *value; /* sent when none is given; NULL: none */
};

struct uq_endpoint {
  const char *name; /* the client's method; "start_" before it: a call object */
  const char *each; /* its iterator over the items of all pages; NULL: none */
  const char *method;
  const char *path;
  const struct uq_field *schema;
  const struct uq_field *items;  /* of UQ_FIELD_ITEMS; the first is their id */
  const struct uq_param *params; /* of the query; NULL: a currency is POSTed */
  bool behalf;                   /* takes x-on-behalf-of */
  bool login;                    /* credentials in, a token out */
};

extern const struct uq_endpoint uq_endpoints[];
#define UQ_ENDPOINT_BALANCE (&uq_endpoints[0])
#define UQ_ENDPOINT_TOKEN (&uq_endpoints[1])
#define UQ_ENDPOINT_COUNT UQ_LATENCIES

/* Builds "base + path + query" in url. */
void uq_endpoint_url(const struct uq_endpoint *e, const char *base_url,
                     const char *query, char url[UQ_URL_MAX]);

/* Builds the body of a request for a currency. */
#define UQ_BODY_MAX 32
void uq_endpoint_body(const char *currency, char body[UQ_BODY_MAX]);

/* What the headers of a request say, each unless it is NULL or "". */
struct uq_headers {
  const char *user_agent;
  const char *client_id, *api_key;
  const char *token;
  const char *key;
  const char *on_behalf_of;
  bool body; /* there is one */
};

/* Fills an empty header block. */
enum uq_buf_status uq_endpoint_headers(struct uq_buf *block,
                                       const struct uq_headers *h);

/* The token or api_key in a header block, as it was given; NULL if there is
** none. */
const char *uq_endpoint_secret(const struct uq_buf *block);

/* ---- query.c ------------------------------------------------------------ */

/* Pushes the query of a request, "" or "?a=b&c=d", made of the parameters of
** the endpoint in the table at idx (0: none), and sets currency if one is among
** them. A wrong value is refused; a wrong type raises, naming the parameter. */
void uqL_query_push(lua_State *L, const struct uq_endpoint *e, int idx,
                    const char *method, char *currency,
                    struct uq_refusal *refused);

/* Is there a parameter of that name? */
bool uq_query_knows(const struct uq_endpoint *e, const char *name);

/* ---- call.c ------------------------------------------------------------- */

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

/* ---- answer.c ----------------------------------------------------------- */

/* All of it must outlast the judgement, whatever finalizers do meanwhile. */
struct uq_response_context {
  const struct uq_endpoint *endpoint;
  const char *query; /* "" or "?page_size=10&page_number=1..." */
  const char *currency;
  const char *ca_file; /* in use, for messages; NULL: the default */
  int amounts;
  struct uq_secrets secrets;
  struct uq_buf *scratch;
  struct uq_buf *token; /* of a login; empty. NULL: none is wanted */
};

/* Judges what came of an attempt. True: pushes the result table. False: pushes
** an error table and fills f. A login's token goes into q->token, past Lua, and
** its table has true in that place; but not so if the answer is one for the
** JSON library. */
bool uqL_response_decode(lua_State *L, const struct uq_response_context *q,
                      const struct uq_response *a, struct uq_failure *f);

/* Reads the body of a success once more, with the same checks; a NUL follows
** the text. True: pushes the result table. False: pushes why not. */
bool uqL_response_read(lua_State *L, const struct uq_response_context *q, char *text,
                     size_t len);

/* ---- json.c ------------------------------------------------------------- */

enum uq_json_type {
  UQ_JSON_ABSENT, /* or null */
  UQ_JSON_NUMBER,
  UQ_JSON_STRING,
  UQ_JSON_TABLE,
  UQ_JSON_OTHER /* true, false, or a number that is a Lua number already */
};

/* Gets this state its private lua-cjson instance. Raises if there is none. */
void uqL_json_open(lua_State *L);

/* Pushes lua-cjson's version. */
void uqL_json_version(lua_State *L);

/* Decodes a text whose numbers stay marked strings. True: pushes the value and
** sets members; false: pushes why not. */
bool uqL_json_decode(lua_State *L, const char *text, size_t len, bool mend,
                     struct uq_buf *scratch, size_t *members);

/* The type of the decoded value at idx, and its characters if it is a number
** or a string. */
enum uq_json_type uqL_json_type(lua_State *L, int idx, const char **text,
                                size_t *len);

/* The double nearest to a number's text. False: it is beyond their range, and
** *value is infinite or 0. */
bool uqL_json_double(lua_State *L, const char *text, size_t len, double *value);

/* Pushes a number's text as the Lua value that `amounts` asks for; money is a
** float, anything else an integer where it is one. False, nothing pushed: it is
** beyond the range of that. */
bool uqL_json_push_number(lua_State *L, const char *text, size_t len,
                          int amounts, bool money);

/* Turns the marked numbers below the decoded table at the top into Lua values
** and takes the nulls out. Returns the members counted, nulls included, or -1:
** a number is out of range, and its name is pushed. */
long uqL_json_convert_numbers(lua_State *L, int amounts);

/* ---- values.c ----------------------------------------------------------- */

/* Registers the class of amounts. */
void uqL_amount_open(lua_State *L);

/* Pushes an amount. */
void uqL_amount_push(lua_State *L, const struct uq_decimal *value);

/* uqpay.amount, uqpay.sum, uqpay.time */
int uqL_amount_new(lua_State *L);
int uqL_amount_sum(lua_State *L);
int uqL_parse_time(lua_State *L);

/* ---- filestore.c -------------------------------------------------------- */

/* Registers the class. */
void uqL_file_store_open(lua_State *L);

/* uqpay.file_store */
int uqL_file_store_new(lua_State *L);

/* ---- error.c ------------------------------------------------------------ */

/* Registers the class. */
void uqL_error_open(lua_State *L);

/* Pushes the table of kinds. */
void uqL_error_kinds(lua_State *L);

/* Turns the message at the top into an error table of that kind. */
void uqL_error_new(lua_State *L, enum uq_kind kind);

/* The same for a call that nothing was sent of. */
void uqL_error_unsent(lua_State *L, enum uq_kind kind);

/* Adds to the message of the error table at the top. */
void uqL_error_append_message(lua_State *L, const char *text);

/* Sets a field of the error table at the top; "" and NULL are left out. */
void uqL_error_set_string(lua_State *L, const char *name, const char *value);

/* The same for text from outside: see uqL_push_redacted. */
void uqL_error_set_redacted(lua_State *L, const char *name, const char *text,
                            const struct uq_secrets *secrets);

/* Puts nil and the message below the error table at the top: the results of a
** failed call. Returns their number. */
int uqL_error_push_failure(lua_State *L);

/* Pushes text as uq_redact shows it, cut to max bytes of at most UQ_SHOWN_MAX.
 */
#define UQ_SHOWN_MAX 2048
void uqL_push_redacted(lua_State *L, const char *text, size_t len, size_t max,
                       const struct uq_secrets *secrets, bool line);

/* The same in one line for text of the user's own, which has none of them. */
void uqL_push_shown(lua_State *L, const char *text, size_t len, size_t max);

#pragma GCC visibility pop

#endif
