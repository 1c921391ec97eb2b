/*
** call.c - see call.h.
** SPDX-License-Identifier: MIT
*/
#include "binding/call.h"

#include <math.h>
#include <stddef.h>
#include <unistd.h>

#include "binding/admission.h"
#include "binding/attempt.h"
#include "binding/auxlib.h"
#include "binding/call_error.h"
#include "binding/client.h"
#include "binding/client_clock.h"
#include "binding/compat.h"
#include "binding/course.h"
#include "binding/error.h"
#include "binding/login.h"
#include "binding/login_wait.h"
#include "binding/token.h"
#include "engine/base/buf.h"
#include "engine/base/error_kind.h"
#include "engine/http/transport.h"

/* ------------------------------------------------------------------------ */
/* the course of a call                                                      */
/* ------------------------------------------------------------------------ */

/* client:token() has its token: pushes a copy that the call owns, by rule 8. */
static enum uq_verdict give_token(lua_State *L, struct uq_call *call) {
  const struct uq_client_token *t = &call->client->token;
  size_t prefix = uq_token_prefix(t->text.data, t->text.len);
  double end = t->end;
  if (t->text.len == 0)
    return uqL_call_fail_with(L, call, UQ_AUTH,
                              "the token was dropped at once");
  uq_buf_init(&call->scratch, t->text.max);
  if (uq_buf_append(&call->scratch, t->text.data + prefix,
                    t->text.len - prefix) != UQ_BUF_OK)
    return uqL_call_fail_with(L, call, UQ_MEMORY, "not enough memory");
  uq_call_end(call, true);
  lua_pushlstring(L, call->scratch.data, call->scratch.len);
  uq_buf_free(&call->scratch);
  call->pushed = 1;
  if (end != 0) {
    uqL_pushcount(L, floor(end));
    call->pushed = 2;
  }
  return UQ_RESULTS;
}

static enum uq_verdict call_start(lua_State *L, int idx, struct uq_call *call) {
  (void)L, (void)idx;
  const struct uq_client *c = call->client;
  enum uq_call_state next = uq_login_wait_entry(call);
  if (next == UQ_CALL_TOKEN) {
    if (c->login.call != NULL && !uq_calls_want_login(c, NULL))
      uq_attempt_look(c->login.call);
  }
  uq_call_enter(call, next, call->deadline);
  return next == UQ_CALL_ADMISSION ? UQ_GO : UQ_WAIT;
}

static enum uq_verdict call_admission(lua_State *L, int idx,
                                      struct uq_call *call) {
  enum uq_verdict verdict;
  if (call->endpoint->login) { /* nothing is sent */
    verdict = uqL_attempt_ask_token(L, idx, call);
    return verdict == UQ_GO ? give_token(L, call) : verdict;
  }
  verdict = uqL_admission(L, idx, call);
  return verdict == UQ_GO ? uqL_attempt_begin(L, idx, call) : verdict;
}

static const struct uq_course course = {
    .states = {[UQ_CALL_START] = call_start,
               [UQ_CALL_RENEWAL] = uqL_login_wait_state,
               [UQ_CALL_TOKEN] = uqL_login_wait_state,
               [UQ_CALL_ADMISSION] = call_admission,
               [UQ_CALL_QUEUED] = uqL_admission_wait,
               [UQ_CALL_SLOT] = uqL_admission_wait,
               [UQ_CALL_IN_FLIGHT] = uqL_attempt_in_flight,
               [UQ_CALL_BACKOFF] = uqL_state_pause,
               [UQ_CALL_ENDED] = uqL_state_ended}};

/* A step of the call at idx, and of the login that it waits for. 0: it is not
** over; else the number of results pushed. */
static int step_course(lua_State *L, int idx, struct uq_call *call) {
  for (;;) {
    bool concerned = uq_login_wait_concerns(call);
    if (concerned)
      uqL_login_wait_step(L, idx, call);
    int results = uqL_course_step(L, idx, call);
    if (results > 0)
      uqL_login_leave(L, idx);
    if (results > 0 || !uq_login_wait_concerns(call) ||
        (concerned && !uq_login_wait_is_due(call)))
      return results;
  }
}

/* ------------------------------------------------------------------------ */
/* blocking calls                                                            */
/* ------------------------------------------------------------------------ */

/* Pushes a call for a blocking method, reusing the client's cached one (which
** saves 3 % of the instructions of a call over HTTP). It is not cached while it
** is in use: a call that an error has abandoned is left to the collector. */
static struct uq_call *take_cached_call(lua_State *L, int client) {
  struct uq_client *c = lua_touserdata(L, client);
  struct uq_call *call = c->cached_call;
  uqL_get_user_value(L, client);
  if (call == NULL)
    return uqL_call_push(L);
  c->cached_call = NULL;
  lua_rawgeti(L, -1, UQ_USER_VALUE_CACHED_CALL);
  lua_insert(L, -2);
  lua_pushboolean(L, 0);
  lua_rawseti(L, -2, UQ_USER_VALUE_CACHED_CALL);
  lua_pop(L, 1);
  uq_call_init(call);
  return call;
}

/* The call at idx, which blocked, is over. */
static void cache_call(lua_State *L, int client, int idx) {
  struct uq_client *c = lua_touserdata(L, client);
  if (c->cached_call != NULL) /* that of a hook's call */
    return;
  uqL_get_user_value(L, client);
  lua_pushvalue(L, idx);
  lua_rawseti(L, -2, UQ_USER_VALUE_CACHED_CALL); /* there is room: see
                                                    uqL_client_new */
  lua_pop(L, 1);
  c->cached_call = lua_touserdata(L, idx);
}

/* Waits until the call at idx is due. Raises what a debug hook raises. */
static void wait_until_due(lua_State *L, int idx, struct uq_call *call) {
  while (!uq_call_is_due(call)) {
    if (!uqL_calls_step(L, call->client, idx, HUGE_VAL)) {
      uq_call_stop(call, &uq_ending_canceled);
      uqL_login_leave(L, idx);
      uq_calls_publish(call->client, true);
      lua_error(L);
    }
  }
}

int uqL_call_run(lua_State *L, int client, const struct uq_endpoint *e,
                 const struct uq_options *o) {
  const char *query = lua_tostring(L, -1);
  struct uq_call *call = take_cached_call(L, client);
  int idx = lua_gettop(L);
  int results;
  if (!uq_call_begin(call, lua_touserdata(L, client), &course, e, query, o))
    return luaL_error(L, UQ_CLOSED);
  call->client->stats.calls++;
  while ((results = step_course(L, idx, call)) == 0)
    wait_until_due(L, idx, call);
  uq_calls_publish(call->client, true);
  cache_call(L, client, idx);
  return results;
}

/* ------------------------------------------------------------------------ */
/* call objects                                                              */
/* ------------------------------------------------------------------------ */

/* step(call), in protected mode. A finalizer may have finished the call since
** the step began. */
static int step(lua_State *L) {
  struct uq_call *call = lua_touserdata(L, 1);
  int results = call->results == 0 ? step_course(L, 1, call) : 0;
  if (results > 0)
    uqL_course_keep_results(L, 1, call, results);
  return 0;
}

/* True if the client of the call, which is not over, can be stepped. */
static bool is_live(const struct uq_call *call) {
  return !uq_call_is_over(call) &&
         !uq_transport_forked(call->client->transport);
}

bool uqL_call_step(lua_State *L, int idx, bool engine) {
  struct uq_call *call = lua_touserdata(L, idx);
  if (call->results > 0 || call->stepped) /* stepped: by one of its own hooks */
    return call->results > 0;
  if (engine && is_live(call) && !uq_call_is_due(call))
    uq_calls_step(call->client);
  bool good = uqL_course_try(L, idx, step);
  if (!good)
    uqL_login_leave(L, idx);
  uq_calls_publish(call->client, true);
  if (!good)
    lua_error(L);
  return call->results > 0;
}

/* Makes the call object at the top known to client:ready. */
static void register_object(lua_State *L, int client, double id) {
  uqL_get_user_value(L, client);
  lua_getfield(L, -1, "calls");
  uqL_pushcount(L, id);
  lua_pushvalue(L, -4);
  lua_rawset(L, -3);
  lua_pop(L, 2);
}

void uqL_call_wait(lua_State *L, int idx) {
  struct uq_call *call = lua_touserdata(L, idx);
  while (!uqL_call_step(L, idx, false) && !call->stepped) {
    while (!uq_call_is_due(call)) {
      if (!uqL_calls_step(L, call->client, idx, HUGE_VAL)) {
        uq_calls_publish(call->client, true);
        lua_error(L);
      }
    }
  }
}

void uqL_call_start(lua_State *L, int client, const struct uq_endpoint *e,
                    const struct uq_options *o, bool listed) {
  const char *query = lua_tostring(L, -1);
  struct uq_call *call = uqL_call_push_object(L, client);
  if (!uq_call_begin(call, lua_touserdata(L, client), &course, e, query, o)) {
    luaL_error(L, UQ_CLOSED);
    return;
  }
  call->is_object = true;
  call->client->stats.calls++;
  if (listed)
    register_object(L, client, call->task.id);
  uqL_call_step(L, lua_gettop(L), false);
}

/* Replaces the message at the top by the error of a call that is refused. */
static void push_refusal(lua_State *L, const struct uq_endpoint *e,
                         const struct uq_options *o) {
  uqL_error_unsent(L, UQ_INVALID_REQUEST);
  uqL_error_set_string(L, "endpoint", e->name);
  uqL_error_set_string(L, "on_behalf_of", o->on_behalf_of);
  uqL_error_set_string(L, "idempotency_key", o->idempotency_key);
}

int uqL_call_refuse(lua_State *L, const struct uq_endpoint *e,
                    const struct uq_options *o) {
  push_refusal(L, e, o);
  return uqL_error_push_failure(L);
}

bool uqL_call_begin_object(struct uq_call *call, struct uq_client *c,
                           const struct uq_endpoint *e,
                           const struct uq_options *o,
                           struct uq_task_group *group) {
  int number = call->batch.number;
  struct uq_link link = call->batch.link;
  uq_call_init(call);
  call->batch.number = number;
  call->batch.link = link;
  if (!uq_call_begin(call, c, &course, e, "", o))
    return false;
  call->task.group = group;
  call->is_object = true;
  c->stats.calls++;
  return true;
}

void uqL_call_refuse_object(lua_State *L, int idx, const struct uq_endpoint *e,
                            const struct uq_options *o) {
  struct uq_call *call = lua_touserdata(L, idx);
  push_refusal(L, e, o);
  int results = uqL_error_push_failure(L);
  uqL_course_keep_results(L, idx, call, results);
  lua_pop(L, results + 1);
}

/* The client does not know the object: no call was begun. */
void uqL_call_start_refused(lua_State *L, int client,
                            const struct uq_endpoint *e,
                            const struct uq_options *o) {
  struct uq_client *c = lua_touserdata(L, client);
  lua_pushliteral(L, ""); /* the query */
  struct uq_call *call = uqL_call_push_object(L, client);
  call->endpoint = e;
  call->query = "";
  call->options = *o;
  call->client = c;
  call->task.id = ++c->ids;
  call->is_object = true;
  lua_insert(L, -2); /* below the message */
  uqL_call_refuse_object(L, lua_gettop(L) - 1, e, o);
}

/* ------------------------------------------------------------------------ */
/* methods                                                                   */
/* ------------------------------------------------------------------------ */

static struct uq_call *check_call(lua_State *L) {
  struct uq_call *call = uqL_self(L, UQ_CALL, "call");
  if (!uq_call_is_over(call))
    uqL_client_clock_read(L, call->client, 1);
  return call;
}

/* call:step() -> true if it is over. Never blocks. */
static int call_step(lua_State *L) {
  check_call(L);
  lua_pushboolean(L, uqL_call_step(L, 1, true));
  return 1;
}

/* True if there is a result to be had: not within the call's own hooks. */
static bool is_done(const struct uq_call *call) {
  return uq_call_is_over(call) && !call->stepped;
}

/* call:done() -> true if it is over. Does nothing else. */
static int call_done(lua_State *L) {
  lua_pushboolean(L, is_done(check_call(L)));
  return 1;
}

/* call:result() -> what client:balance would have returned. Raises if the call
** is not over. */
static int call_result(lua_State *L) {
  struct uq_call *call = check_call(L);
  if (!is_done(call) || !uqL_call_step(L, 1, false))
    return luaL_error(L, "the call is not finished");
  lua_settop(L, 1);
  uqL_get_user_value(L, 1);
  for (int i = 1; i <= call->results; i++)
    lua_rawgeti(L, 2, i);
  return call->results;
}

/* Publishes, since another call may be due now: it may have waited for the
** connection of this one. */
static void cancel(struct uq_call *call) {
  bool over = uq_call_is_over(call);
  uq_call_stop(call, &uq_ending_canceled);
  if (!over)
    uq_calls_publish(call->client, true);
}

/* call:cancel(): a call in progress ends with the kind `canceled`. */
static int call_cancel(lua_State *L) {
  cancel(check_call(L));
  uqL_login_leave(L, 1);
  return 0;
}

static int call_gc(lua_State *L) {
  struct uq_call *call = luaL_checkudata(L, 1, UQ_CALL);
  if (call->client != NULL && call->client->cached_call == call)
    call->client->cached_call = NULL;
  cancel(call);
  uq_call_forget(call);
  uqL_login_leave(L, 1);
  return 0;
}

/* call:id() -> a number that no other call of the client has. */
static int call_id(lua_State *L) {
  uqL_pushcount(L, check_call(L)->task.id);
  return 1;
}

/* call:attempts() -> requests sent so far, libcurl's own resends included; 0:
** it waits for the rate limit, or for a token. */
static int call_attempts(lua_State *L) {
  struct uq_call *call = check_call(L);
  uq_call_count_resends(call);
  lua_pushinteger(L, call->attempt.count);
  return 1;
}

/* call:pollfd() -> the client's descriptor; nil: none. */
static int call_pollfd(lua_State *L) {
  struct uq_call *call = check_call(L);
  int fd = is_live(call) ? uqL_calls_fd(L, call->client) : -1;
  if (fd >= 0)
    lua_pushinteger(L, fd);
  else
    lua_pushnil(L);
  return 1;
}

/* call:getfd(): the same for LuaSocket's select(), which skips objects whose
** getfd() is negative, even dirty ones; for dirty ones it calls getfd() but
** does not poll. So a finished call has a number, that of standard input. */
static int call_getfd(lua_State *L) {
  struct uq_call *call = check_call(L);
  lua_pushinteger(L,
                  is_live(call) ? uqL_calls_fd(L, call->client) : STDIN_FILENO);
  return 1;
}

/* call:events() -> "r": what to wait for on the descriptor. */
static int call_events(lua_State *L) {
  check_call(L);
  lua_pushliteral(L, "r");
  return 1;
}

/* call:dirty() -> true if a step has something to do. For LuaSocket. */
static int call_dirty(lua_State *L) {
  lua_pushboolean(L, uq_call_is_due(check_call(L)));
  return 1;
}

/* call:timeout() -> seconds after which it must be stepped, whatever the
** descriptor says. */
static int call_timeout(lua_State *L) {
  struct uq_call *call = check_call(L);
  double left = 0;
  if (!uq_call_is_due(call)) {
    double end = call->task.wake;
    double due = uq_calls_due(call->client);
    left = (due >= 0 && due < end ? due : end) - uq_client_clock(call->client);
  }
  lua_pushnumber(L, left > 0 ? left : 0);
  return 1;
}

static const char *const state_names[UQ_CALL_STATES] = {
    [UQ_CALL_START] = "ready",     [UQ_CALL_RENEWAL] = "ready",
    [UQ_CALL_TOKEN] = "waiting",   [UQ_CALL_STORE] = "waiting",
    [UQ_CALL_ADMISSION] = "ready", [UQ_CALL_QUEUED] = "waiting",
    [UQ_CALL_SLOT] = "waiting",    [UQ_CALL_IN_FLIGHT] = "in flight",
    [UQ_CALL_BACKOFF] = "waiting", [UQ_CALL_ENDED] = "finished"};

static int call_tostring(lua_State *L) {
  struct uq_call *call = check_call(L);
  lua_pushfstring(L, "uqpay.call (%s %s, %s)", call->endpoint->name,
                  call->options.currency, state_names[call->state]);
  return 1;
}

static const luaL_Reg metamethods[] = {
    {"__gc", call_gc}, {"__tostring", call_tostring}, {NULL, NULL}};

static const luaL_Reg methods[] = {
    {"step", call_step},       {"done", call_done},
    {"result", call_result},   {"cancel", call_cancel},
    {"id", call_id},           {"attempts", call_attempts},
    {"pollfd", call_pollfd},   {"events", call_events},
    {"timeout", call_timeout}, {"getfd", call_getfd},
    {"dirty", call_dirty},     {NULL, NULL}};

void uqL_call_open(lua_State *L) {
  uqL_class(L, UQ_CALL, metamethods, methods);
}
