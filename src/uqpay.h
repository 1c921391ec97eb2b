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

#include "buf.h"
#include "compat.h"
#include "kind.h"
#include "redact.h"
#include "retry.h"
#include "transport.h"
#include "uuid.h"

#pragma GCC visibility push(hidden)

#define UQ_VERSION "0.1.0"

#define UQ_CLIENT "uqpay.client" /* metatables */
#define UQ_CALL "uqpay.call"
#define UQ_ERROR "uqpay.error"

#define UQ_CLOSED "attempt to use a closed uqpay client"

#define UQ_CURRENCY_MAX 5
#define UQ_HOST_MAX 256
#define UQ_URL_MAX 1100

/* ---- options.c ---------------------------------------------------------- */

enum uq_amounts { UQ_AMOUNTS_NUMBER, UQ_AMOUNTS_STRING };

/* Strings are borrowed from the copies that the client's peer table keeps, NULL
** if not given; words are here, "" if not given. */
struct uq_options {
  const char *base_url;
  const char *ca_file;
  const char *ca_path;
  const char *pinned_public_key;
  const char *proxy;
  const char *user_agent;
  char currency[UQ_CURRENCY_MAX + 1];
  char on_behalf_of[UQ_UUID_LEN + 1];
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
  bool allow_key_reuse;
};

struct uq_client;

/* Reads the table at idx given to uqpay.new, into c->options, c->token and the
** peer table on the top of the stack. Raises, naming the option. */
void uqL_options_new(lua_State *L, int idx, struct uq_client *c);

/* Reads the arguments of a method from first on: a currency and an option
** table, or the table alone. o holds the client's options. Raises, naming the
** argument or option. */
void uqL_options_call(lua_State *L, int first, const char *method,
                      struct uq_options *o);

/* ---- client.c ----------------------------------------------------------- */

struct uq_stats {
  double calls, succeeded, failed;
  double attempts, retries;
  double connections;
  double hook_errors;
};

#define UQ_KEYS_REMEMBERED 32

struct uq_client {
  struct uq_transport *transport; /* NULL: closed */
  struct uq_options options;
  char host[UQ_HOST_MAX]; /* for messages */
  struct uq_buf token;    /* as sent; empty: there is none yet */
  double token_end;       /* Unix seconds; 0: not told */
  unsigned token_serial;  /* counts the tokens */
  bool token_function, token_running;
  bool on_request, on_response, on_retry;
  struct uq_call *calls;
  struct uq_stats stats;
  char keys[UQ_KEYS_REMEMBERED][UQ_UUID_LEN + 1]; /* callers' own, a ring */
  unsigned next_key;
};

/* Registers the class. */
void uqL_client_open(lua_State *L);

/* uqpay.new */
int uqL_client_new(lua_State *L);

/* ---- token.c ------------------------------------------------------------ */

/* Checks a token and appends it to an empty buffer as "Bearer <token>". NULL:
** done; else what is wrong with it, which never quotes it. */
const char *uq_token_take(struct uq_buf *token, const char *text, size_t len);

/* Why the token function must be asked before a call: "new" (a token without an
** end is good for one call) or "expired"; NULL: it need not be. */
const char *uq_token_need(const struct uq_client *c);

/* Asks the token function, and puts what it gives in the place of the client's
** token. owner is the index of a userdata with the client's peer table. False:
** pushes why there is no new token; the client may be closed now. */
bool uqL_token_ask(lua_State *L, int owner, struct uq_client *c,
                   const char *reason);

/* ---- endpoint.c --------------------------------------------------------- */

enum uq_field_type {
  UQ_FIELD_TEXT,     /* a string without control bytes */
  UQ_FIELD_NAME,     /* the same, and not empty */
  UQ_FIELD_CURRENCY, /* the currency that was asked for */
  UQ_FIELD_AMOUNT    /* a number, or its digits in a string */
};

struct uq_field {
  const char *name; /* NULL ends a schema */
  enum uq_field_type type;
};

struct uq_endpoint {
  const char *name; /* the client's method */
  const char *method;
  const char *path;
  const struct uq_field *schema; /* every field is required */
};

extern const struct uq_endpoint uq_endpoint_balance;

/* Builds "base + path" in url. */
void uq_endpoint_url(const struct uq_endpoint *e, const char *base_url,
                     char url[UQ_URL_MAX]);

/* Builds the body of a request for a currency. */
#define UQ_BODY_MAX 32
void uq_endpoint_body(const char *currency, char body[UQ_BODY_MAX]);

/* Fills an empty header block. key and on_behalf_of may be "". */
enum uq_buf_status uq_endpoint_headers(struct uq_buf *headers,
                                       const char *token, const char *key,
                                       const char *on_behalf_of);

/* The token in a header block, as it was given; NULL if there is none. */
const char *uq_endpoint_token(const struct uq_buf *headers);

/* ---- call.c ------------------------------------------------------------- */

/* Registers the class. */
void uqL_call_open(lua_State *L);

/* Pushes a call of the client at idx (absolute), not begun. Raises if the
 *client
 ** is closed. */
void uqL_call_new(lua_State *L, int client, const struct uq_endpoint *e,
                  const struct uq_options *o);

/* Lets the call at idx go on without waiting. 0: it is not finished; else the
** number of results pushed: the balance, or nil, message and error. */
int uqL_call_step(lua_State *L, int idx);

/* Steps the call at idx until it is finished; blocks up to its timeout.
** Returns the number of results pushed. Raises what a debug hook raises (the
** interpreter's Ctrl-C); the call is then cancelled. */
int uqL_call_run(lua_State *L, int idx);

/* Ends every call of the client with kind `canceled`. */
void uq_call_cancel_all(struct uq_client *c);

/* ---- answer.c ----------------------------------------------------------- */

/* All of it must outlast the judgement, whatever finalizers do meanwhile. */
struct uq_question {
  const struct uq_endpoint *endpoint;
  const char *currency;
  const char *ca_file; /* in use, for messages; NULL: the default */
  int amounts;
  struct uq_secrets secrets;
  struct uq_buf *scratch;
};

/* Judges what came of an attempt. True: pushes the result table. False: pushes
** an error table and fills f. */
bool uqL_answer_judge(lua_State *L, const struct uq_question *q,
                      const struct uq_answer *a, struct uq_failure *f);

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

/* Pushes a number's text as the Lua value that `amounts` asks for; money is a
** float, anything else an integer where it is one. False, nothing pushed: no
** double is near it. */
bool uqL_json_push_number(lua_State *L, const char *text, size_t len,
                          int amounts, bool money);

/* Turns the marked numbers below the decoded table at the top into Lua values
** and takes the nulls out. Returns the members counted, nulls included, or -1:
** a number is out of range, and its name is pushed. */
long uqL_json_settle(lua_State *L, int amounts);

/* ---- error.c ------------------------------------------------------------ */

/* Registers the class. */
void uqL_error_open(lua_State *L);

/* Pushes the table of kinds. */
void uqL_error_kinds(lua_State *L);

/* Turns the message at the top into an error table of that kind. */
void uqL_error_new(lua_State *L, enum uq_kind kind);

/* Adds to the message of the error table at the top. */
void uqL_error_add(lua_State *L, const char *text);

/* Sets a field of the error table at the top; "" and NULL are left out. */
void uqL_error_set(lua_State *L, const char *name, const char *value);

/* The same for text from outside: see uqL_push_redacted. */
void uqL_error_set_redacted(lua_State *L, const char *name, const char *text,
                            const struct uq_secrets *secrets);

/* Puts nil and the message below the error table at the top: the results of a
** failed call. Returns their number. */
int uqL_error_return(lua_State *L);

/* Pushes text as uq_redact shows it, cut to max bytes of at most UQ_SHOWN_MAX.
 */
#define UQ_SHOWN_MAX 2048
void uqL_push_redacted(lua_State *L, const char *text, size_t len, size_t max,
                       const struct uq_secrets *secrets, bool line);

#pragma GCC visibility pop

#endif
