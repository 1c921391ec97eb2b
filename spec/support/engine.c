/*
** engine.c - the engine's leaves as a Lua module, for the specs alone. Thin:
** what a function of the engine takes and gives, as Lua values. Texts are
** handed over in blocks of their very length, so that a memory checker sees
** each read beyond.
** SPDX-License-Identifier: MIT
*/
#define _GNU_SOURCE
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "engine/http/activity.h"
#include "engine/http/url.h"
#include "engine/number/number.h"
#include "engine/base/buf.h"
#include "engine/base/clock.h"
#include "binding/compat.h"
#include "engine/number/decimal.h"
#include "engine/number/flat_json.h"
#include "engine/http/latency.h"
#include "engine/number/datetime.h"
#include "engine/policy/rate_limiter.h"
#include "engine/event/poller.h"
#include "engine/number/json_numbers.h"
#include "engine/http/response_headers.h"
#include "engine/base/redact.h"
#include "engine/policy/retry.h"
#include "engine/policy/run_queue.h"
#include "engine/base/uuid.h"

#define BUF "engine.buf" /* metatables */
#define POLLER "engine.poller"
#define RECEIVED "engine.received"
#define SCHEDULE "engine.schedule"
#define PACE "engine.pace"
#define ACTIVITY "engine.activity"
#define LATENCY "engine.latency"

int luaopen_engine(lua_State *L);

/* Pushes a copy of the string argument, `more` bytes longer. */
static char *copy_of(lua_State *L, int arg, size_t more, size_t *len) {
  const char *text = luaL_checklstring(L, arg, len);
  char *copy = lua_newuserdata(L, *len + more);
  if (*len > 0)
    memcpy(copy, text, *len);
  return copy;
}

static char *exactly(lua_State *L, int arg, size_t *len) {
  return copy_of(L, arg, 0, len);
}

/* The same with a NUL behind it. */
static char *terminated(lua_State *L, int arg) {
  size_t len;
  char *copy = copy_of(L, arg, 1, &len);
  copy[len] = '\0';
  luaL_argcheck(L, strlen(copy) == len, arg, "no NUL expected");
  return copy;
}

/* Pushes a new userdata of that class, all zero. */
static void *new_object(lua_State *L, size_t size, const char *class) {
  void *object = lua_newuserdata(L, size);
  memset(object, 0, size);
  luaL_getmetatable(L, class);
  lua_setmetatable(L, -2);
  return object;
}

static void new_class(lua_State *L, const char *name, lua_CFunction gc,
                      const luaL_Reg *methods) {
  luaL_newmetatable(L, name);
  if (gc != NULL) {
    lua_pushcfunction(L, gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_newtable(L);
  uqL_setfuncs(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}

/* ---- buf ---------------------------------------------------------------- */

static struct uq_buf *new_buf(lua_State *L, size_t max) {
  struct uq_buf *b = new_object(L, sizeof *b, BUF);
  uq_buf_init(b, max);
  return b;
}

/* engine.buf(max) */
static int buf_new(lua_State *L) {
  new_buf(L, (size_t)luaL_checknumber(L, 1));
  return 1;
}

static struct uq_buf *to_buf(lua_State *L) {
  return luaL_checkudata(L, 1, BUF);
}

/* buf:append(text) -> "ok", "full" or "no memory" */
static int buf_append(lua_State *L) {
  static const char *const names[] = {"ok", "full", "no memory"};
  struct uq_buf *b = to_buf(L);
  size_t len;
  const char *text = exactly(L, 2, &len);
  lua_pushstring(L, names[uq_buf_append(b, text, len)]);
  return 1;
}

/* buf:size() -> len, cap */
static int buf_size(lua_State *L) {
  struct uq_buf *b = to_buf(L);
  lua_pushinteger(L, (lua_Integer)b->len);
  lua_pushinteger(L, (lua_Integer)b->cap);
  return 2;
}

/* buf:raw(n) -> the first n bytes of its memory; nil: it has none */
static int buf_raw(lua_State *L) {
  struct uq_buf *b = to_buf(L);
  size_t n = (size_t)luaL_checkinteger(L, 2);
  luaL_argcheck(L, n <= b->cap, 2, "beyond the memory of the buffer");
  if (b->data == NULL)
    lua_pushnil(L);
  else
    lua_pushlstring(L, b->data, n);
  return 1;
}

static int buf_clear(lua_State *L) {
  uq_buf_clear(to_buf(L));
  return 0;
}

static int buf_free(lua_State *L) {
  uq_buf_free(to_buf(L));
  return 0;
}

static const luaL_Reg buf_methods[] = {
    {"append", buf_append}, {"size", buf_size}, {"raw", buf_raw},
    {"clear", buf_clear},   {"free", buf_free}, {NULL, NULL}};

/* ---- quote, amount, decimal, moment ------------------------------------- */

/* engine.quote(text [, mend [, max]]) -> text, members; or nil, why, at */
static int quote(lua_State *L) {
  struct uq_json_numbers result;
  bool mend = lua_toboolean(L, 2) != 0;
  size_t len;
  lua_settop(L, 3);
  const char *text = exactly(L, 1, &len);
  struct uq_buf *out =
      new_buf(L, (size_t)luaL_optnumber(L, 3, (lua_Number)(3 * len + 3)));
  switch (uq_json_stringify_numbers(text, len, mend, out, &result)) {
  case UQ_JSON_NUMBERS_OK:
    lua_pushlstring(L, out->data != NULL ? out->data : "", out->len);
    lua_pushinteger(L, (lua_Integer)result.members);
    return 2;
  case UQ_JSON_NUMBERS_BAD:
    lua_pushnil(L);
    lua_pushstring(L, result.why);
    lua_pushinteger(L, (lua_Integer)result.at);
    return 3;
  default:
    lua_pushnil(L);
    lua_pushliteral(L, "no memory");
    return 2;
  }
}

#define FLAT_MAX 16

/* engine.flat(text) -> a list of {name, text, is it a string}; nil */
static int flat(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  struct uq_member members[FLAT_MAX];
  int n = uq_flat_json_parse(text, len, members, FLAT_MAX);
  if (n == 0)
    return 0;
  lua_createtable(L, n, 0);
  for (int i = 0; i < n; i++) {
    lua_createtable(L, 3, 0);
    lua_pushlstring(L, members[i].name, members[i].name_len);
    lua_rawseti(L, -2, 1);
    lua_pushlstring(L, members[i].text, members[i].len);
    lua_rawseti(L, -2, 2);
    lua_pushboolean(L, members[i].string);
    lua_rawseti(L, -2, 3);
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

/* The text of the first argument, of which only the first bytes are meant if
** the second says so. */
static const char *number_text(lua_State *L, size_t *len) {
  lua_settop(L, 2);
  const char *text = exactly(L, 1, len);
  size_t part = (size_t)luaL_optinteger(L, 2, (lua_Integer)*len);
  luaL_argcheck(L, part <= *len, 2, "beyond the text");
  *len = part;
  return text;
}

/* engine.number_scan(text [, len]) -> bytes */
static int number_scan(lua_State *L) {
  size_t len;
  const char *text = number_text(L, &len);
  lua_pushinteger(L, (lua_Integer)uq_number_scan(text, text + len));
  return 1;
}

/* engine.number_valid(text [, len]) */
static int number_valid(lua_State *L) {
  size_t len;
  const char *text = number_text(L, &len);
  lua_pushboolean(L, uq_number_valid(text, len));
  return 1;
}

/* engine.number_double(text [, len]) -> number; or nil and the status */
static int number_double(lua_State *L) {
  size_t len;
  double value;
  const char *text = number_text(L, &len);
  luaL_argcheck(L, uq_number_valid(text, len), 1, "a number expected");
  enum uq_number_status status = uq_number_double(text, len, &value);
  if (status == UQ_NUMBER_OK) {
    lua_pushnumber(L, value);
    return 1;
  }
  lua_pushnil(L);
  lua_pushstring(L, status == UQ_NUMBER_RANGE ? "range" : "no memory");
  return 2;
}

/* engine.decimal(text) -> all its digits; or nil and the status */
static int decimal(lua_State *L) {
  static const char *const names[] = {"ok", "bad", "range"};
  struct uq_decimal d;
  char out[UQ_DECIMAL_TEXT];
  size_t len;
  const char *text = exactly(L, 1, &len);
  enum uq_decimal_status status = uq_decimal_parse(text, len, &d);
  if (status != UQ_DECIMAL_OK) {
    lua_pushnil(L);
    lua_pushstring(L, names[status]);
    return 2;
  }
  uq_decimal_text(&d, out);
  lua_pushstring(L, out);
  return 1;
}

/* engine.moment(text) -> seconds, nanoseconds; or nil and the status */
static int moment(lua_State *L) {
  static const char *const names[] = {"ok", "none", "zone", "bad"};
  struct uq_datetime m;
  size_t len;
  const char *text = exactly(L, 1, &len);
  enum uq_datetime_status status = uq_datetime_parse(text, len, NULL, &m);
  if (status != UQ_DATETIME_OK) {
    lua_pushnil(L);
    lua_pushstring(L, names[status]);
    return 2;
  }
  lua_pushnumber(L, (lua_Number)m.seconds);
  lua_pushnumber(L, (lua_Number)m.nanoseconds);
  return 2;
}

/* ---- retry -------------------------------------------------------------- */

static double number_in(lua_State *L, int table, const char *name) {
  lua_getfield(L, table, name);
  double value = (double)lua_tonumber(L, -1); /* 0 for nil */
  lua_pop(L, 1);
  return value;
}

static bool flag_in(lua_State *L, int table, const char *name) {
  lua_getfield(L, table, name);
  bool value = lua_toboolean(L, -1) != 0;
  lua_pop(L, 1);
  return value;
}

static struct uq_failure to_failure(lua_State *L, int table) {
  struct uq_failure f;
  luaL_checktype(L, table, LUA_TTABLE);
  f.status = (int)number_in(L, table, "status");
  f.outcome_unknown = flag_in(L, table, "lost");
  f.processing = flag_in(L, table, "processing");
  f.token_refused = flag_in(L, table, "token_refused");
  f.retry_after = number_in(L, table, "retry_after");
  return f;
}

/* engine.retryable { status=, lost=, processing=, ... } */
static int retryable(lua_State *L) {
  struct uq_failure f = to_failure(L, 1);
  lua_pushboolean(L, uq_retryable(&f));
  return 1;
}

/* engine.retry({ max_retries=, delay=, delay_max= }, failure, attempt, now,
** deadline, chance) -> again, wait, stopped */
static int retry(lua_State *L) {
  struct uq_failure f = to_failure(L, 2);
  struct uq_retry_policy policy;
  luaL_checktype(L, 1, LUA_TTABLE);
  policy.max_retries = (int)number_in(L, 1, "max_retries");
  policy.delay = number_in(L, 1, "delay");
  policy.delay_max = number_in(L, 1, "delay_max");
  struct uq_retry verdict = uq_retry_decide(
      &policy, &f, (int)luaL_checkinteger(L, 3), luaL_checknumber(L, 4),
      luaL_checknumber(L, 5), luaL_checknumber(L, 6));
  lua_pushboolean(L, verdict.again);
  lua_pushnumber(L, verdict.wait);
  lua_pushstring(L, verdict.stopped); /* nil for NULL */
  return 3;
}

/* engine.retry_after(value, now) -> seconds */
static int retry_after(lua_State *L) {
  double now = luaL_checknumber(L, 2);
  lua_pushnumber(L, uq_retry_after(terminated(L, 1), now));
  return 1;
}

/* ---- schedule ----------------------------------------------------------- */

#define TURNS 64 /* of a schedule, known by their numbers, from 1 */

struct turns {
  struct uq_run_queue schedule;
  struct uq_task turns[TURNS];
};

static int schedule_new(lua_State *L) {
  struct turns *t = new_object(L, sizeof *t, SCHEDULE);
  uq_run_queue_init(&t->schedule);
  return 1;
}

static struct uq_run_queue *to_schedule(lua_State *L) {
  struct turns *t = luaL_checkudata(L, 1, SCHEDULE);
  return &t->schedule;
}

static struct uq_task *to_turn(lua_State *L) {
  struct turns *t = luaL_checkudata(L, 1, SCHEDULE);
  int number = (int)luaL_checkinteger(L, 2);
  luaL_argcheck(L, number >= 1 && number <= TURNS, 2, "no such turn");
  return &t->turns[number - 1];
}

/* schedule:wait(turn, wake) */
static int schedule_wait(lua_State *L) {
  uq_run_queue_wait(to_schedule(L), to_turn(L), luaL_checknumber(L, 3));
  return 0;
}

/* schedule:make_ready(turn) */
static int schedule_ready(lua_State *L) {
  uq_run_queue_ready(to_schedule(L), to_turn(L));
  return 0;
}

/* schedule:leave(turn) */
static int schedule_leave(lua_State *L) {
  uq_run_queue_leave(to_schedule(L), to_turn(L));
  return 0;
}

/* schedule:advance(now) */
static int schedule_advance(lua_State *L) {
  uq_run_queue_advance(to_schedule(L), luaL_checknumber(L, 2));
  return 0;
}

/* schedule:next() -> the turn's number, or nil */
static int schedule_next(lua_State *L) {
  struct turns *t = luaL_checkudata(L, 1, SCHEDULE);
  struct uq_task *turn = uq_run_queue_next(&t->schedule);
  if (turn == NULL)
    lua_pushnil(L);
  else
    lua_pushinteger(L, turn - t->turns + 1);
  return 1;
}

/* schedule:any() */
static int schedule_any(lua_State *L) {
  lua_pushboolean(L, uq_run_queue_has_ready(to_schedule(L)));
  return 1;
}

/* schedule:wake() -> when, or below 0 */
static int schedule_wake(lua_State *L) {
  lua_pushnumber(L, uq_run_queue_wake(to_schedule(L)));
  return 1;
}

static const luaL_Reg schedule_methods[] = {{"wait", schedule_wait},
                                            {"make_ready", schedule_ready},
                                            {"leave", schedule_leave},
                                            {"advance", schedule_advance},
                                            {"next", schedule_next},
                                            {"any", schedule_any},
                                            {"wake", schedule_wake},
                                            {NULL, NULL}};

/* ---- uuid --------------------------------------------------------------- */

static int uuid(lua_State *L) {
  char text[UQ_UUID_LEN + 1];
  if (!uq_uuid_v4(text))
    return luaL_error(L, "no randomness");
  lua_pushstring(L, text);
  return 1;
}

static int uuid_valid(lua_State *L) {
  size_t len;
  const char *text = exactly(L, 1, &len);
  lua_pushboolean(L, uq_uuid_valid(text, len));
  return 1;
}

/* ---- address ------------------------------------------------------------ */

/* engine.address(url [, size]) -> host; or nil, why */
static int address(lua_State *L) {
  size_t size = (size_t)luaL_optinteger(L, 2, 256);
  const char *url = terminated(L, 1);
  char *host = lua_newuserdata(L, size);
  const char *why = uq_url_check(url, host, size);
  if (why == NULL) {
    lua_pushstring(L, host);
    return 1;
  }
  lua_pushnil(L);
  lua_pushstring(L, why);
  return 2;
}

static int encrypted(lua_State *L) {
  lua_pushboolean(L, uq_url_encrypted(terminated(L, 1)));
  return 1;
}

/* ---- pace --------------------------------------------------------------- */

/* engine.pace(limit) */
static int pace_new(lua_State *L) {
  double limit = luaL_checknumber(L, 1);
  struct uq_rate_limiter *p = new_object(L, sizeof *p, PACE);
  uq_rate_limiter_init(p, limit);
  return 1;
}

static struct uq_rate_limiter *to_pace(lua_State *L) {
  return luaL_checkudata(L, 1, PACE);
}

/* pace:next() */
static int pace_next(lua_State *L) {
  lua_pushnumber(L, uq_rate_limiter_next(to_pace(L)));
  return 1;
}

/* pace:take(now), pace:call(now), pace:patient(now) */
static int pace_take(lua_State *L) {
  lua_pushboolean(L, uq_rate_limiter_take(to_pace(L), luaL_checknumber(L, 2)));
  return 1;
}

static int pace_call(lua_State *L) {
  lua_pushboolean(L, uq_rate_limiter_admit(to_pace(L), luaL_checknumber(L, 2)));
  return 1;
}

static int pace_patient(lua_State *L) {
  lua_pushboolean(L, uq_rate_limiter_worth_waiting(to_pace(L), luaL_checknumber(L, 2)));
  return 1;
}

/* pace:charge(now, turns) */
static int pace_charge(lua_State *L) {
  uq_rate_limiter_charge(to_pace(L), luaL_checknumber(L, 2),
                 (int)luaL_checkinteger(L, 3));
  return 0;
}

/* pace:due(now, others) */
static int pace_due(lua_State *L) {
  lua_pushnumber(L, uq_rate_limiter_due(to_pace(L), luaL_checknumber(L, 2),
                                luaL_checknumber(L, 3)));
  return 1;
}

/* pace:refused(now, sent) -> in a row */
static int pace_refused(lua_State *L) {
  lua_pushinteger(L, uq_rate_limiter_refused(to_pace(L), luaL_checknumber(L, 2),
                                     luaL_checknumber(L, 3)));
  return 1;
}

/* pace:hold(now, pause) */
static int pace_hold(lua_State *L) {
  uq_rate_limiter_pause(to_pace(L), luaL_checknumber(L, 2), luaL_checknumber(L, 3));
  return 0;
}

/* pace:accepted(now, sent) */
static int pace_accepted(lua_State *L) {
  uq_rate_limiter_accepted(to_pace(L), luaL_checknumber(L, 2), luaL_checknumber(L, 3));
  return 0;
}

/* pace:told(now, pause) */
static int pace_told(lua_State *L) {
  uq_rate_limiter_pause_shared(to_pace(L), luaL_checknumber(L, 2), luaL_checknumber(L, 3));
  return 0;
}

static const luaL_Reg pace_methods[] = {{"next", pace_next},
                                        {"take", pace_take},
                                        {"call", pace_call},
                                        {"due", pace_due},
                                        {"patient", pace_patient},
                                        {"refused", pace_refused},
                                        {"hold", pace_hold},
                                        {"accepted", pace_accepted},
                                        {"charge", pace_charge},
                                        {"told", pace_told},
                                        {NULL, NULL}};

/* ---- activity ----------------------------------------------------------- */

/* engine.activity() */
static int activity_new(lua_State *L) {
  new_object(L, sizeof(struct uq_activity), ACTIVITY);
  return 1;
}

static struct uq_activity *to_activity(lua_State *L) {
  return luaL_checkudata(L, 1, ACTIVITY);
}

/* activity:use(fd, now) */
static int activity_use(lua_State *L) {
  uq_activity_use(to_activity(L), (int)luaL_checkinteger(L, 2),
                  luaL_checknumber(L, 3));
  return 0;
}

/* activity:rest(fd, now) */
static int activity_rest(lua_State *L) {
  uq_activity_rest(to_activity(L), (int)luaL_checkinteger(L, 2),
                   luaL_checknumber(L, 3));
  return 0;
}

/* activity:touch(fd, now) */
static int activity_touch(lua_State *L) {
  uq_activity_touch(to_activity(L), (int)luaL_checkinteger(L, 2),
                    luaL_checknumber(L, 3));
  return 0;
}

/* activity:close(fd) */
static int activity_close(lua_State *L) {
  uq_activity_close(to_activity(L), (int)luaL_checkinteger(L, 2));
  return 0;
}

/* activity:shut(fd) */
static int activity_shut(lua_State *L) {
  uq_activity_shut(to_activity(L), (int)luaL_checkinteger(L, 2));
  return 0;
}

/* activity:count() */
static int activity_count(lua_State *L) {
  lua_pushinteger(L, uq_activity_count(to_activity(L)));
  return 1;
}

/* activity:find(port, address) -> fd or -1 */
static int activity_find(lua_State *L) {
  lua_pushinteger(L,
                  uq_activity_find(to_activity(L), (int)luaL_checkinteger(L, 2),
                                   luaL_checkstring(L, 3)));
  return 1;
}

/* activity:of(fd, now) -> opened, heard, waited, port, shut; or nil */
static int activity_of(lua_State *L) {
  const struct uq_connection *c =
      uq_activity_of(to_activity(L), (int)luaL_checkinteger(L, 2));
  if (c == NULL) {
    lua_pushnil(L);
    return 1;
  }
  lua_pushnumber(L, c->opened);
  lua_pushnumber(L, c->heard);
  lua_pushnumber(L, uq_activity_waited(c, luaL_checknumber(L, 3)));
  lua_pushinteger(L, c->port);
  lua_pushboolean(L, c->shut);
  return 5;
}

static int activity_free(lua_State *L) {
  uq_activity_free(to_activity(L));
  return 0;
}

static const luaL_Reg activity_methods[] = {{"use", activity_use},
                                            {"rest", activity_rest},
                                            {"touch", activity_touch},
                                            {"close", activity_close},
                                            {"shut", activity_shut},
                                            {"count", activity_count},
                                            {"find", activity_find},
                                            {"of", activity_of},
                                            {NULL, NULL}};

/* ---- latency ------------------------------------------------------------ */

/* engine.latency() */
static int latency_new(lua_State *L) {
  new_object(L, sizeof(struct uq_latency), LATENCY);
  return 1;
}

static struct uq_latency *to_latency(lua_State *L) {
  return luaL_checkudata(L, 1, LATENCY);
}

/* latency:note(took, now) */
static int latency_note(lua_State *L) {
  uq_latency_note(to_latency(L), luaL_checknumber(L, 2),
                  luaL_checknumber(L, 3));
  return 0;
}

/* latency:slowest(now) -> seconds */
static int latency_slowest(lua_State *L) {
  lua_pushnumber(L, uq_latency_slowest(to_latency(L), luaL_checknumber(L, 2)));
  return 1;
}

/* latency:learn(took) */
static int latency_learn(lua_State *L) {
  uq_latency_learn(to_latency(L), luaL_checknumber(L, 2));
  return 0;
}

/* latency:least() -> seconds */
static int latency_least(lua_State *L) {
  lua_pushnumber(L, to_latency(L)->least);
  return 1;
}

static const luaL_Reg latency_methods[] = {{"note", latency_note},
                                           {"slowest", latency_slowest},
                                           {"learn", latency_learn},
                                           {"least", latency_least},
                                           {NULL, NULL}};

/* ---- redact ------------------------------------------------------------- */

/* engine.redact(text, sent, earlier, line [, size]) -> text */
static int redact(lua_State *L) {
  struct uq_secrets secrets;
  size_t size = (size_t)luaL_optinteger(L, 5, 2048), len;
  lua_settop(L, 4);
  secrets.sent = lua_isnil(L, 2) ? NULL : terminated(L, 2);
  secrets.earlier = lua_isnil(L, 3) ? NULL : terminated(L, 3);
  const char *text = exactly(L, 1, &len);
  char *out = lua_newuserdata(L, size);
  size_t written =
      uq_redact(text, len, &secrets, lua_toboolean(L, 4) != 0, out, size);
  if (written == UQ_REDACT_NOMEM)
    return luaL_error(L, "not enough memory");
  lua_pushlstring(L, out, written);
  return 1;
}

/* ---- received ----------------------------------------------------------- */

static int received_new(lua_State *L) {
  new_object(L, sizeof(struct uq_response_headers), RECEIVED);
  return 1;
}

/* received:line(text [, keep = true]) -> taken */
static int received_line(lua_State *L) {
  struct uq_response_headers *r = luaL_checkudata(L, 1, RECEIVED);
  bool keep = lua_isnoneornil(L, 3) || lua_toboolean(L, 3);
  size_t len;
  const char *line = exactly(L, 2, &len);
  luaL_argcheck(L, len > 0, 2, "a line has its end at least");
  lua_pushboolean(L, uq_response_headers_line(r, line, len, keep));
  return 1;
}

/* received:get(name) */
static int received_get(lua_State *L) {
  static const char *const names[] = {"request_id", "retry_after", "location",
                                      "content_encoding", NULL};
  struct uq_response_headers *r = luaL_checkudata(L, 1, RECEIVED);
  const char *const values[] = {r->request_id, r->retry_after, r->location,
                                r->content_encoding};
  lua_pushstring(L, values[luaL_checkoption(L, 2, NULL, names)]);
  return 1;
}

static int received_complete(lua_State *L) {
  struct uq_response_headers *r = luaL_checkudata(L, 1, RECEIVED);
  lua_pushboolean(L, r->complete);
  return 1;
}

static const luaL_Reg received_methods[] = {{"line", received_line},
                                            {"get", received_get},
                                            {"complete", received_complete},
                                            {NULL, NULL}};

/* ---- poller ------------------------------------------------------------- */

/* engine.poller_name() */
static int poller_name(lua_State *L) {
  lua_pushstring(L, uq_poller_name());
  return 1;
}

static int poller_new(lua_State *L) {
  struct uq_poller *p = new_object(L, sizeof *p, POLLER);
  uq_poller_init(p);
  int error = uq_poller_open(p);
  return error == 0 ? 1 : luaL_error(L, "no poller: %s", strerror(error));
}

static struct uq_poller *to_poller(lua_State *L) {
  return luaL_checkudata(L, 1, POLLER);
}

static int poller_close(lua_State *L) {
  uq_poller_close(to_poller(L));
  return 0;
}

/* poller:watch(fd, what) -> errno */
static int poller_watch(lua_State *L) {
  int fd = (int)luaL_checkinteger(L, 2);
  int what = (int)luaL_checkinteger(L, 3);
  lua_pushinteger(L, uq_poller_watch(to_poller(L), fd, what));
  return 1;
}

static int poller_rest(lua_State *L) {
  lua_pushinteger(L,
                  uq_poller_pause(to_poller(L), (int)luaL_checkinteger(L, 2)));
  return 1;
}

/* poller:timer(ms): from now; below 0 disarms it */
static int poller_timer(lua_State *L) {
  double ms = (double)luaL_checknumber(L, 2);
  uq_poller_timer(to_poller(L), ms < 0 ? -1 : uq_clock() + ms / 1000);
  return 0;
}

static int poller_due(lua_State *L) {
  lua_pushboolean(L, uq_poller_due(to_poller(L)));
  return 1;
}

static int poller_fd(lua_State *L) {
  lua_pushinteger(L, uq_poller_fd(to_poller(L)));
  return 1;
}

static int poller_arm(lua_State *L) {
  uq_poller_arm(to_poller(L));
  return 0;
}

static int poller_notify(lua_State *L) {
  uq_poller_notify(to_poller(L));
  return 0;
}

/* poller:wait(limit_ms [, max]) -> { [fd] = what }, number of events */
static int poller_wait(lua_State *L) {
  struct uq_event events[64];
  int max = (int)luaL_optinteger(L, 3, 64);
  luaL_argcheck(L, max > 0 && max <= 64, 3, "1 to 64 expected");
  int n =
      uq_poller_wait(to_poller(L), events, max, (long)luaL_checkinteger(L, 2));
  lua_newtable(L);
  for (int i = 0; i < n; i++) {
    lua_pushinteger(L, events[i].what);
    lua_rawseti(L, -2, events[i].fd);
  }
  lua_pushinteger(L, n);
  return 2;
}

static const luaL_Reg poller_methods[] = {
    {"watch", poller_watch}, {"timer", poller_timer},
    {"due", poller_due},     {"fd", poller_fd},
    {"arm", poller_arm},     {"notify", poller_notify},
    {"wait", poller_wait},   {"close", poller_close},
    {"rest", poller_rest},   {NULL, NULL}};

/* ---- descriptors to watch ----------------------------------------------- */

/* engine.pipe() -> the end to read, the end to write */
static int new_pipe(lua_State *L) {
  int ends[2];
  if (pipe(ends) != 0)
    return luaL_error(L, "no pipe");
  lua_pushinteger(L, ends[0]);
  lua_pushinteger(L, ends[1]);
  return 2;
}

static int write_fd(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 2, &len);
  ssize_t n = write((int)luaL_checkinteger(L, 1), text, len);
  lua_pushboolean(L, n == (ssize_t)len);
  return 1;
}

/* engine.read(fd) -> up to 512 bytes, "" at the end */
static int read_fd(lua_State *L) {
  char bytes[512];
  ssize_t n = read((int)luaL_checkinteger(L, 1), bytes, sizeof bytes);
  if (n < 0)
    return luaL_error(L, "cannot read");
  lua_pushlstring(L, bytes, (size_t)n);
  return 1;
}

static int close_fd(lua_State *L) {
  lua_pushboolean(L, close((int)luaL_checkinteger(L, 1)) == 0);
  return 1;
}

/* engine.readable(fd, ms): what a plain poll(2) says of it */
static int readable(lua_State *L) {
  struct pollfd p = {(int)luaL_checkinteger(L, 1), POLLIN, 0};
  int n = poll(&p, 1, (int)luaL_checkinteger(L, 2));
  lua_pushboolean(L, n == 1 && (p.revents & POLLIN) != 0);
  return 1;
}

/* ---- the heap ----------------------------------------------------------- */

/* Where the heap of malloc is. */
static bool find_heap(uintptr_t *from, uintptr_t *to) {
  char line[512];
  bool found = false;
  FILE *maps = fopen("/proc/self/maps", "r");
  while (maps != NULL && !found && fgets(line, sizeof line, maps) != NULL)
    found = strstr(line, "[heap]") != NULL &&
            sscanf(line, "%" SCNxPTR "-%" SCNxPTR, from, to) == 2;
  if (maps != NULL)
    fclose(maps);
  return found;
}

/* engine.heap_count(first, second) -> how often the two stand side by side in
** the heap, used and freed. Nowhere here are they joined, nor is a copy made of
** what is read; whoever asks must not join them either. 0 also if there is
** nothing to be read. */
static int heap_count(lua_State *L) {
  static char part[65536]; /* not of the heap */
  size_t n1, n2, kept = 0;
  const char *first = luaL_checklstring(L, 1, &n1);
  const char *second = luaL_checklstring(L, 2, &n2);
  uintptr_t at = 0, end = 0;
  int fd = find_heap(&at, &end) ? open("/proc/self/mem", O_RDONLY) : -1;
  lua_Integer count = 0;
  while (fd >= 0 && at < end) {
    size_t room = sizeof part - kept;
    size_t left = end - at < room ? (size_t)(end - at) : room;
    ssize_t n = pread(fd, part + kept, left, (off_t)at);
    if (n <= 0)
      break;
    at += (size_t)n;
    size_t size = kept + (size_t)n;
    for (const char *p = part;
         (p = memmem(p, (size_t)(part + size - p), first, n1)) != NULL; p++)
      count += (size_t)(part + size - p) >= n1 + n2 &&
               memcmp(p + n1, second, n2) == 0;
    kept = size < n1 + n2 - 1 ? size : n1 + n2 - 1; /* half of one, maybe */
    memmove(part, part + size - kept, kept);
  }
  if (fd >= 0)
    close(fd);
  memset(part, 0, sizeof part);
  lua_pushinteger(L, count);
  return 1;
}

static const luaL_Reg functions[] = {{"buf", buf_new},
                                     {"quote", quote},
                                     {"flat", flat},
                                     {"number_scan", number_scan},
                                     {"number_valid", number_valid},
                                     {"number_double", number_double},
                                     {"decimal", decimal},
                                     {"moment", moment},
                                     {"retryable", retryable},
                                     {"retry", retry},
                                     {"retry_after", retry_after},
                                     {"schedule", schedule_new},
                                     {"uuid", uuid},
                                     {"uuid_valid", uuid_valid},
                                     {"address", address},
                                     {"encrypted", encrypted},
                                     {"pace", pace_new},
                                     {"activity", activity_new},
                                     {"latency", latency_new},
                                     {"redact", redact},
                                     {"received", received_new},
                                     {"poller", poller_new},
                                     {"poller_name", poller_name},
                                     {"pipe", new_pipe},
                                     {"write", write_fd},
                                     {"read", read_fd},
                                     {"close", close_fd},
                                     {"readable", readable},
                                     {"heap_count", heap_count},
                                     {NULL, NULL}};

int luaopen_engine(lua_State *L) {
  new_class(L, BUF, buf_free, buf_methods);
  new_class(L, POLLER, poller_close, poller_methods);
  new_class(L, RECEIVED, NULL, received_methods);
  new_class(L, SCHEDULE, NULL, schedule_methods);
  new_class(L, PACE, NULL, pace_methods);
  new_class(L, ACTIVITY, activity_free, activity_methods);
  new_class(L, LATENCY, NULL, latency_methods);
  lua_newtable(L);
  uqL_setfuncs(L, functions);
  return 1;
}
