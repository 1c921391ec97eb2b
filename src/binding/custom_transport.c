/*
** custom_transport.c - see custom_transport.h.
** SPDX-License-Identifier: MIT
*/
#include "binding/custom_transport.h"

#include <stdio.h>
#include <string.h>

#include "binding/auxlib.h"
#include "binding/call_error.h"
#include "binding/client.h"
#include "binding/client_clock.h"
#include "binding/compat.h"
#include "binding/error.h"
#include "engine/api/endpoint.h"
#include "engine/base/ascii.h"
#include "engine/base/buf.h"
#include "engine/base/error_kind.h"
#include "engine/http/response_headers.h"
#include "engine/http/transfer.h"
#include "engine/http/transfer_error.h"

#define MIN_STATUS 200 /* those below are no final responses */
#define MAX_STATUS 999
#define MAX_SHOWN 40 /* bytes of a name in a message */
#define MAX_NAME 64  /* of a request header: ours are shorter */
/* Metatables. */
#define HEADERS "uqpay.headers"
#define ANSWER "uqpay.answer"

/* ------------------------------------------------------------------------ */
/* the request                                                               */
/* ------------------------------------------------------------------------ */

/* headers[name], for a name in any case. */
static int find_header(lua_State *L) {
  if (lua_type(L, 2) != LUA_TSTRING)
    return 0;
  lua_getglobal(L, "string");
  lua_getfield(L, -1, "lower");
  lua_pushvalue(L, 2);
  lua_call(L, 1, 1);
  lua_rawget(L, 1);
  return 1;
}

/* Sets the field of a line of a header block in the table at the top; its name
** in lower case. A line without a value is no header. */
static void set_header(lua_State *L, const char *line) {
  char name[MAX_NAME];
  size_t len = strcspn(line, ":");
  if (line[len] == '\0' || line[len + 1] == '\0' || len > sizeof name)
    return;
  for (size_t i = 0; i < len; i++)
    name[i] = uq_lower(line[i]);
  lua_pushlstring(L, name, len);
  lua_pushstring(L, line + len + 2); /* behind ": " */
  lua_rawset(L, -3);
}

static void push_headers(lua_State *L, const struct uq_buf *block) {
  lua_newtable(L);
  for (size_t at = 0; at < block->len; at += strlen(block->data + at) + 1)
    set_header(L, block->data + at);
  luaL_getmetatable(L, HEADERS);
  lua_setmetatable(L, -2);
}

/* Pushes the request of the call, without its headers. */
static void push_request(lua_State *L, const struct uq_call *call,
                         const char *url) {
  const struct uq_endpoint *e = call->endpoint;
  lua_createtable(L, 0, 6);
  uqL_error_set_string(L, "endpoint", e->name);
  uqL_error_set_string(L, "method", e->method);
  uqL_error_set_string(L, "url", url);
  if (e->method[0] == 'P') {
    lua_pushstring(L, call->body);
    lua_setfield(L, -2, "body");
  }
  lua_pushnumber(L, call->attempt.end - call->attempt.begun);
  lua_setfield(L, -2, "timeout");
}

/* ------------------------------------------------------------------------ */
/* the response                                                              */
/* ------------------------------------------------------------------------ */

/* A userdata that owns a response, or a request's header block, while Lua reads
** it: calls may end then. */
static int answer_gc(lua_State *L) {
  uq_response_free(luaL_checkudata(L, 1, ANSWER));
  return 0;
}

static struct uq_response *push_answer(lua_State *L, size_t max_bytes) {
  struct uq_response *r = lua_newuserdata(L, sizeof *r);
  memset(r, 0, sizeof *r);
  uq_buf_init(&r->body, max_bytes);
  luaL_getmetatable(L, ANSWER);
  lua_setmetatable(L, -2);
  return r;
}

static void set_failure(struct uq_response *r, enum uq_kind kind,
                        const char *message) {
  r->kind = kind;
  r->outcome_unknown =
      kind == UQ_CONNECT || kind == UQ_TIMEOUT || kind == UQ_DNS;
  r->status = 0;
  snprintf(r->message, sizeof r->message, "%s", message);
}

/* True if the bytes can be a part of a header line. */
static bool is_line(const char *text, size_t len) {
  return memchr(text, '\r', len) == NULL && memchr(text, '\n', len) == NULL &&
         memchr(text, '\0', len) == NULL;
}

/* Takes the header whose name is at -2 and whose value is at the top. Raises if
** they are of another form. */
static void read_header(lua_State *L, struct uq_response *r) {
  size_t len = 0;
  if (lua_type(L, -2) != LUA_TSTRING)
    luaL_error(L, "headers: names expected as keys, got %s",
               luaL_typename(L, -2));
  const char *name = lua_tolstring(L, -2, &len);
  uqL_push_shown(L, name, len, MAX_SHOWN);
  const char *shown = lua_tostring(L, -1);
  if (lua_type(L, -2) != LUA_TSTRING && lua_type(L, -2) != LUA_TNUMBER)
    luaL_error(L, "headers['%s']: a string expected, got %s", shown,
               luaL_typename(L, -2));
  lua_pushvalue(L, -3);
  lua_pushliteral(L, ": ");
  lua_pushvalue(L, -4);
  lua_concat(L, 3);
  const char *line = lua_tolstring(L, -1, &len);
  if (!is_line(line, len))
    luaL_error(L, "headers['%s']: one line expected", shown);
  if (!uq_response_headers_line(&r->received, line, len, true))
    set_failure(r, UQ_TOO_LARGE, "the response headers are too large");
  lua_pop(L, 2);
}

static void read_headers(lua_State *L, int table, struct uq_response *r) {
  lua_getfield(L, table, "headers");
  if (lua_isnil(L, -1))
    return;
  if (!lua_istable(L, -1))
    luaL_error(L, "headers: a table expected, got %s", luaL_typename(L, -1));
  for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1))
    read_header(L, r);
}

static void read_body(lua_State *L, int table, struct uq_response *r) {
  size_t len;
  lua_getfield(L, table, "body");
  if (lua_isnil(L, -1))
    return;
  if (lua_type(L, -1) != LUA_TSTRING)
    luaL_error(L, "body: a string expected, got %s", luaL_typename(L, -1));
  const char *body = lua_tolstring(L, -1, &len);
  switch (uq_buf_append(&r->body, body, len)) {
  case UQ_BUF_OK:
    return;
  case UQ_BUF_FULL:
    set_failure(r, UQ_TOO_LARGE, uq_body_too_large);
    return;
  default:
    set_failure(r, UQ_MEMORY, "not enough memory");
  }
}

/* Reads the table of a response. Raises if a field is of another form. */
static void read_response(lua_State *L, int table, struct uq_response *r) {
  lua_getfield(L, table, "status");
  double status = (double)lua_tonumber(L, -1);
  if (lua_type(L, -1) != LUA_TNUMBER || !(status >= MIN_STATUS) ||
      status > MAX_STATUS || status != (int)status)
    luaL_error(L, "status: a whole number from " UQ_DIGITS_OF(
                      MIN_STATUS) " to " UQ_DIGITS_OF(MAX_STATUS) " expected");
  r->kind = UQ_OK;
  r->status = (int)status;
  read_headers(L, table, r);
  read_body(L, table, r);
}

/* True if a transfer can fail with that kind. */
static bool is_of_transfer(enum uq_kind kind) {
  switch (kind) {
  case UQ_CONNECT:
  case UQ_DNS:
  case UQ_TLS:
  case UQ_TIMEOUT:
  case UQ_PROTOCOL:
  case UQ_TOO_LARGE:
  case UQ_DECODE:
  case UQ_CONFIG:
  case UQ_MEMORY:
    return true;
  default:
    return false;
  }
}

/* Reads kind and message. */
static void read_failure(lua_State *L, int idx, struct uq_response *r) {
  enum uq_kind kind = lua_type(L, idx) == LUA_TSTRING
                          ? uq_kind_named(lua_tostring(L, idx))
                          : UQ_OK;
  if (!is_of_transfer(kind))
    luaL_error(L, "nil must be followed by a kind: connect, dns, tls, timeout, "
                  "protocol, too_large, decode, config or memory");
  const char *message = lua_tostring(L, idx + 1);
  set_failure(r, kind, message != NULL ? message : "no response came");
}

/* read_results(answer, ...): the results of the program's function. */
static int read_results(lua_State *L) {
  struct uq_response *r = lua_touserdata(L, 1);
  lua_settop(L, 4);
  if (lua_istable(L, 2))
    read_response(L, 2, r);
  else if (lua_isnil(L, 2))
    read_failure(L, 3, r);
  else
    luaL_error(L, "a table or nil expected, got %s", luaL_typename(L, 2));
  return 0;
}

/* Replaces the error at the top, a table maybe, by its text. */
static const char *to_text(lua_State *L, size_t *len) {
  lua_getglobal(L, "tostring");
  lua_insert(L, -2);
  if (lua_pcall(L, 1, 1, 0) != LUA_OK || lua_type(L, -1) != LUA_TSTRING) {
    lua_pop(L, 1);
    lua_pushliteral(L, "an error without a text");
  }
  return lua_tolstring(L, -1, len);
}

/* The error of that status, raised by the function of that option, is at the
** top, and popped: it is the failure. */
static void set_error(lua_State *L, struct uq_response *r, int status,
                      const char *option) {
  size_t len;
  uq_buf_clear(&r->body);
  const char *text = to_text(L, &len);
  if (status == LUA_ERRMEM || strcmp(text, "not enough memory") == 0) {
    set_failure(r, UQ_MEMORY, "not enough memory");
    lua_pop(L, 1);
    return;
  }
  uqL_push_shown(L, text, len, UQ_MESSAGE_MAX);
  lua_pushfstring(L, "the option %s: %s", option, lua_tostring(L, -1));
  set_failure(r, UQ_CONFIG, lua_tostring(L, -1));
  lua_pop(L, 3);
}

/* ------------------------------------------------------------------------ */
/* an exchange                                                               */
/* ------------------------------------------------------------------------ */

/* The call's request has no answer: that is its response. */
static void answer_with_failure(struct uq_call *call, enum uq_kind kind,
                                const char *message) {
  set_failure(&call->response, kind, message);
  uq_call_set_custom(call, UQ_CUSTOM_ANSWERED);
}

void uq_custom_transport_expire(struct uq_call *call) {
  answer_with_failure(call, UQ_TIMEOUT, "no answer came within the timeout");
}

/* True if the call waits for the answer to the request of that number. */
static bool is_open(const struct uq_call *call, unsigned number) {
  return (call->custom.state == UQ_CUSTOM_OPEN ||
          call->custom.state == UQ_CUSTOM_SERVED) &&
         call->custom.number == number;
}

/* The call of the client whose request of that number is open; NULL: none. */
static struct uq_call *find_open(const struct uq_client *c, unsigned number) {
  struct uq_call *call = c->calls;
  while (call != NULL && !is_open(call, number))
    call = call->next;
  return call;
}

/* Reads the program's clock, with the client or one of its calls at idx; what
** that raises is the failure. */
static void read_clock(lua_State *L, struct uq_client *c, int idx,
                       struct uq_response *answer) {
  int status = uqL_client_clock_try(L, c, idx);
  if (status != LUA_OK)
    set_error(L, answer, status, "clock");
}

/* Moves the answer to the call: it is due. */
static void finish(struct uq_call *call, struct uq_response *answer) {
  struct uq_buf sent = call->response.sent;
  call->response = *answer;
  call->response.sent = sent;
  memset(answer, 0, sizeof *answer);
  if (call->response.kind == UQ_OK &&
      uq_client_clock(call->client) >= call->attempt.end)
    set_failure(&call->response, UQ_TIMEOUT,
                "the answer came after the timeout");
  uq_call_set_custom(call, UQ_CUSTOM_ANSWERED);
  uq_call_done(call);
}

/* exchange(answer, function, request): calls the function, and reads its
** results. */
static int exchange(lua_State *L) {
  lua_call(L, 1, 3);
  return read_results(L);
}

/* Sets the headers of the request at the top, those of the call. The answer
** owns them in the meantime: a finalizer may end the call. */
static void set_headers(lua_State *L, struct uq_call *call,
                        struct uq_response *answer) {
  answer->sent = call->response.sent;
  uq_buf_init(&call->response.sent, 0);
  push_headers(L, &answer->sent);
  lua_setfield(L, -2, "headers");
  if (uq_call_is_over(call))
    return;
  call->response.sent = answer->sent;
  uq_buf_init(&answer->sent, 0);
}

/* serve(number, request): true if it starts the program's function in a
** coroutine. At uv: the client's user value, the answer and the request. */
static bool serve(lua_State *L, int uv, unsigned number) {
  bool served = false;
  lua_getfield(L, uv, "serve");
  if (!lua_isnil(L, -1)) {
    uqL_pushcount(L, number);
    lua_pushvalue(L, uv + 2);
    served = lua_pcall(L, 2, 1, 0) == LUA_OK && lua_toboolean(L, -1);
  }
  lua_pop(L, 1);
  return served;
}

/* Calls the program's function for the request of the call at idx, unless the
** call has ended; at uv as above. */
static void call_transport(lua_State *L, int idx, int uv,
                           const struct uq_call *call) {
  struct uq_client *c = call->client;
  struct uq_response *answer = lua_touserdata(L, uv + 1);
  unsigned number = call->custom.number;
  lua_pushcfunction(L, exchange);
  lua_pushvalue(L, uv + 1);
  lua_getfield(L, uv, "transport");
  lua_pushvalue(L, uv + 2);
  if (uq_call_is_over(call)) /* by a finalizer */
    return;
  int status = lua_pcall(L, 3, 0, 0);
  if (status != LUA_OK)
    set_error(L, answer, status, "transport");
  read_clock(L, c, idx, answer);
  struct uq_call *open = find_open(c, number);
  if (open != NULL) /* else the function has ended the call */
    finish(open, answer);
}

enum uq_verdict uqL_custom_transport_send(lua_State *L, int idx,
                                          struct uq_call *call,
                                          const char *url) {
  unsigned number = ++call->client->custom.requests;
  int top = lua_gettop(L);
  call->custom.number = number;
  uq_call_set_custom(call, UQ_CUSTOM_OPEN);
  uqL_client_user_value(L, idx);
  struct uq_response *answer =
      push_answer(L, (size_t)call->options.max_response_bytes);
  push_request(L, call, url);
  set_headers(L, call, answer);
  if (uq_call_is_over(call) || !serve(L, top + 1, number))
    call_transport(L, idx, top + 1, call);
  else if (call->custom.state == UQ_CUSTOM_OPEN) /* it is not answered yet */
    uq_call_set_custom(call, UQ_CUSTOM_SERVED);
  lua_settop(L, top);
  return uq_call_is_over(call) ? uqL_call_fail_ended(L, call) : UQ_WAIT;
}

int uqL_custom_transport_answer(lua_State *L) {
  struct uq_client *c = luaL_checkudata(L, 1, UQ_CLIENT);
  unsigned number = (unsigned)luaL_checknumber(L, 2);
  bool good = lua_toboolean(L, 3) != 0;
  struct uq_call *call = find_open(c, number);
  if (call == NULL)
    return 0;
  if (lua_isnone(L, 3)) {
    answer_with_failure(call, UQ_MEMORY, "not enough memory");
    uq_call_done(call);
    uq_calls_publish(c, true);
    return 0;
  }
  lua_settop(L, 6);
  struct uq_response *answer =
      push_answer(L, (size_t)call->options.max_response_bytes);
  lua_insert(L, 1);
  if (good) {
    lua_pushcfunction(L, read_results);
    lua_pushvalue(L, 1);
    for (int i = 5; i <= 7; i++)
      lua_pushvalue(L, i);
    int status = lua_pcall(L, 4, 0, 0);
    if (status != LUA_OK)
      set_error(L, answer, status, "transport");
  } else {
    lua_settop(L, 5);
    set_error(L, answer, LUA_ERRRUN, "transport");
  }
  read_clock(L, c, 2, answer);
  struct uq_call *open = find_open(c, number);
  if (open == NULL)
    return 0;
  finish(open, answer);
  uq_calls_publish(c, true);
  return 0;
}

/* Registers a metatable with one metamethod. */
static void register_metatable(lua_State *L, const char *name,
                               const char *event, lua_CFunction metamethod) {
  luaL_newmetatable(L, name);
  lua_pushcfunction(L, metamethod);
  lua_setfield(L, -2, event);
  lua_pop(L, 1);
}

void uqL_custom_transport_open(lua_State *L) {
  register_metatable(L, HEADERS, "__index", find_header);
  register_metatable(L, ANSWER, "__gc", answer_gc);
}
