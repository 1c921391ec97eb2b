/*
** body_form.c - see body_form.h.
** SPDX-License-Identifier: MIT
*/
#include "binding/body_form.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "binding/json.h"
#include "engine/api/endpoint.h"
#include "engine/base/ascii.h"
#include "engine/number/number.h"

/* Codes from 400 on are errors; those of HTTP end before 600. */
#define MIN_ERROR_CODE 400
#define END_OF_HTTP_CODES 600

/* True if the text reports success. */
static bool says_success(const char *text, size_t len) {
  return (uq_contains(text, len, "success") &&
          !uq_contains(text, len, "unsuccess")) ||
         (len == 2 && uq_begins(text, len, "ok"));
}

static enum uq_json_type type_of(lua_State *L, int idx) {
  const char *text;
  size_t len;
  return uqL_json_type(L, idx, &text, &len);
}

static bool is_absent(lua_State *L, int idx) {
  return type_of(L, idx) == UQ_JSON_ABSENT;
}

/* True if the table at idx has the member. */
static bool has_member(lua_State *L, int idx, const char *name) {
  lua_getfield(L, idx, name);
  bool has = !is_absent(L, -1);
  lua_pop(L, 1);
  return has;
}

/* ------------------------------------------------------------------------ */
/* codes                                                                     */
/* ------------------------------------------------------------------------ */

static bool is_http_error(double code) {
  return code >= MIN_ERROR_CODE && code < END_OF_HTTP_CODES;
}

/* Reads the code at idx, a number or its digits in a string. False: it is
** neither. Beyond the range of doubles it is infinite or 0. */
static bool read_code(lua_State *L, int idx, double *code) {
  const char *text = "";
  size_t len = 0;
  uqL_json_type(L, idx, &text, &len);
  if (len == 0 || !uq_number_valid(text, len))
    return false;
  uqL_json_double(L, text, len, code);
  return true;
}

/* True if the code at idx is empty or a number that is not an error's. */
static bool code_is_harmless(lua_State *L, int idx) {
  const char *text = "";
  size_t len = 0;
  double code;
  if (read_code(L, idx, &code))
    return code < MIN_ERROR_CODE;
  uqL_json_type(L, idx, &text, &len);
  return len == 0;
}

/* True if the code at idx, a string, stands for a failure. */
static bool code_fails(lua_State *L, int idx) {
  const char *code;
  size_t len;
  if (uqL_json_type(L, idx, &code, &len) != UQ_JSON_STRING || len == 0)
    return false;
  if (strspn(code, "0123456789") == len)
    return strtod(code, NULL) >= MIN_ERROR_CODE;
  return !says_success(code, len);
}

/* ------------------------------------------------------------------------ */
/* {code, message, data}                                                     */
/* ------------------------------------------------------------------------ */

/* True if a message at message_idx reports success and the code at code_idx
** does not contradict it. */
static bool reports_success(lua_State *L, int code_idx, int message_idx) {
  const char *message;
  size_t len;
  double code;
  return uqL_json_type(L, message_idx, &message, &len) == UQ_JSON_STRING &&
         says_success(message, len) &&
         !(read_code(L, code_idx, &code) && is_http_error(code));
}

/* True if a table that has a member is at idx (absolute). */
static bool is_filled_table(lua_State *L, int idx) {
  if (!lua_istable(L, idx))
    return false;
  lua_pushnil(L);
  if (lua_next(L, idx) == 0)
    return false;
  lua_pop(L, 2);
  return true;
}

/* True if the body at the top, which lacks the fields that were asked for, is
** {code, message, data} and reports no error. */
static bool is_wrapped(lua_State *L) {
  int body = lua_gettop(L), code = body + 1, message = body + 2,
      data = body + 3;
  lua_getfield(L, body, "code");
  lua_getfield(L, body, "message");
  lua_getfield(L, body, "data");
  bool wrapped = false;
  if (reports_success(L, code, message))
    wrapped = is_absent(L, data) || lua_istable(L, data);
  else if (!is_absent(L, code) || !is_absent(L, message))
    wrapped = code_is_harmless(L, code) && is_filled_table(L, data);
  lua_settop(L, body);
  return wrapped;
}

/* ------------------------------------------------------------------------ */
/* errors                                                                    */
/* ------------------------------------------------------------------------ */

/* True if the value at idx is a table, or a text that does not report success.
 */
static bool complains(lua_State *L, int idx) {
  const char *text;
  size_t len;
  enum uq_json_type type = uqL_json_type(L, idx, &text, &len);
  return type == UQ_JSON_TABLE ||
         (type == UQ_JSON_STRING && len > 0 && !says_success(text, len));
}

/* True if the body at the top has the fields that were asked for and reports a
** failure all the same: by a code and a message, or beside an absent list. */
static bool reports_failure(lua_State *L, const struct uq_endpoint *e) {
  int body = lua_gettop(L);
  bool no_list = e->items != NULL && !has_member(L, body, "data");
  lua_getfield(L, body, "code");
  lua_getfield(L, body, "message");
  lua_getfield(L, body, "error");
  bool by_message = complains(L, -2), by_error = complains(L, -1);
  bool failure = (code_fails(L, -3) && by_message) ||
                 (no_list && (by_message || by_error));
  lua_settop(L, body);
  return failure;
}

/* The code of the body at the top if it is a number; else 0. */
static double numeric_code(lua_State *L) {
  double code = 0;
  lua_getfield(L, -1, "code");
  if (type_of(L, -1) == UQ_JSON_NUMBER)
    read_code(L, lua_gettop(L), &code);
  lua_pop(L, 1);
  return code;
}

enum uq_body_form uqL_body_form(lua_State *L, const struct uq_endpoint *e,
                                int *status) {
  int body = lua_gettop(L);
  double code = numeric_code(L);
  bool data = has_member(L, body, e->schema->name);
  bool error = has_member(L, body, "error");
  bool message = has_member(L, body, "message");
  *status = is_http_error(code) ? (int)code : 0;
  if (!data && !error && *status == 0 && is_wrapped(L))
    return UQ_BODY_WRAPPED;
  if (code >= MIN_ERROR_CODE || (!data && (error || message)))
    return UQ_BODY_ERROR;
  return data && reports_failure(L, e) ? UQ_BODY_ERROR : UQ_BODY_RESULT;
}
