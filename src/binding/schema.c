/*
** schema.c - see schema.h.
** SPDX-License-Identifier: MIT
*/
#include "binding/schema.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "binding/compat.h"
#include "binding/error.h"
#include "binding/json.h"
#include "binding/options.h"
#include "binding/response_context.h"
#include "binding/token.h"
#include "engine/api/endpoint.h"
#include "engine/base/ascii.h"
#include "engine/number/decimal.h"
#include "engine/number/number.h"

#define MAX_CURRENCY 40 /* bytes shown of a currency that was not asked for */
#define MAX_COUNT 1e15  /* of a field; a double has all whole numbers below */
#define MAX_PREFIX 64   /* bytes of "name[index]." */

/* ------------------------------------------------------------------------ */
/* one value                                                                 */
/* ------------------------------------------------------------------------ */

/* A decoded value: its type, and its characters if it is a string or number. */
struct value {
  enum uq_json_type type;
  const char *text;
  size_t len;
};

static struct value value_at_top(lua_State *L) {
  struct value v = {UQ_JSON_ABSENT, "", 0};
  v.type = uqL_json_type(L, -1, &v.text, &v.len);
  return v;
}

/* True if it is a number, or a number's digits in a string. */
static bool is_numeric(const struct value *v) {
  return v->type == UQ_JSON_NUMBER ||
         (v->type == UQ_JSON_STRING && uq_number_valid(v->text, v->len));
}

/* What a value is, for messages. */
static const char *describe(const struct value *v) {
  static const char *const names[] = {
      [UQ_JSON_ABSENT] = "nothing",  [UQ_JSON_NUMBER] = "a number",
      [UQ_JSON_STRING] = "a string", [UQ_JSON_TABLE] = "an object or array",
      [UQ_JSON_OTHER] = "a boolean",
  };
  if (v->type == UQ_JSON_STRING && v->len == 0)
    return "an empty string";
  if (v->type == UQ_JSON_STRING && uq_has_control(v->text, v->len))
    return "a string with control bytes";
  return names[v->type];
}

const char *uq_schema_out_of_range(int amounts) {
  return amounts == UQ_AMOUNTS_EXACT
             ? "more than " UQ_DIGITS_OF(
                   UQ_DECIMAL_DIGITS) " digits: use amounts = \"string\""
             : "out of a double's range: use amounts = \"string\"";
}

/* ------------------------------------------------------------------------ */
/* one field                                                                 */
/* ------------------------------------------------------------------------ */

/* Each checks the value at the top, and may replace it by the one that a result
** has. Returns NULL, or what was expected. */

static const char *check_count(lua_State *L, const struct value *v) {
  double count;
  if (!is_numeric(v) || !uqL_json_double(L, v->text, v->len, &count) ||
      count < 0 || count > MAX_COUNT || floor(count) != count)
    return "a whole number expected";
  uqL_pushcount(L, count);
  lua_replace(L, -2);
  return NULL;
}

static const char *check_amount(lua_State *L,
                                const struct uq_response_context *context,
                                const struct value *v) {
  if (!is_numeric(v))
    return "a number, or its digits in a string, expected";
  if (!uqL_json_push_number(L, v->text, v->len, context->amounts, true))
    return uq_schema_out_of_range(context->amounts);
  lua_replace(L, -2);
  return NULL;
}

/* Replaces the string at the top by a list of it, an empty string by an empty
** list. */
static void string_to_list(lua_State *L, size_t len) {
  lua_newtable(L);
  lua_insert(L, -2);
  if (len > 0)
    lua_rawseti(L, -2, 1);
  else
    lua_pop(L, 1);
}

static const char *check_names(lua_State *L, const struct value *v) {
  static const char expected[] = "a list of strings expected";
  if (v->type == UQ_JSON_STRING)
    string_to_list(L, v->len);
  if (!lua_istable(L, -1))
    return expected;
  for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1)) {
    if (value_at_top(L).type != UQ_JSON_STRING ||
        lua_type(L, -2) != LUA_TNUMBER) {
      lua_pop(L, 2);
      return expected;
    }
  }
  return NULL;
}

/* A sentinel: the currency is not the one asked for. */
static const char other_currency[] = "another currency";

const char *uq_schema_check_string(const struct uq_response_context *context,
                                   const char *text, size_t len,
                                   enum uq_field_type wanted) {
  const char *currency = context->currency;
  if (wanted > UQ_FIELD_PLAIN && len == 0)
    return "a string that is not empty expected";
  if (wanted == UQ_FIELD_CURRENCY && currency[0] != '\0' &&
      (len != strlen(currency) || memcmp(text, currency, len) != 0))
    return other_currency;
  return wanted == UQ_FIELD_TOKEN ? uq_token_check(text, len) : NULL;
}

static const char *check_string(const struct uq_response_context *context,
                                const struct value *v,
                                enum uq_field_type wanted) {
  if (v->type != UQ_JSON_STRING)
    return "a string expected";
  if (wanted != UQ_FIELD_TEXT && uq_has_control(v->text, v->len))
    return "a string without control bytes expected";
  return uq_schema_check_string(context, v->text, v->len, wanted);
}

static const char *check_field(lua_State *L,
                               const struct uq_response_context *context,
                               const struct value *v,
                               enum uq_field_type wanted) {
  switch (wanted) {
  case UQ_FIELD_AMOUNT:
    return check_amount(L, context, v);
  case UQ_FIELD_COUNT:
    return check_count(L, v);
  case UQ_FIELD_NAMES:
    return check_names(L, v);
  case UQ_FIELD_ITEMS:
    return lua_istable(L, -1) ? NULL : "a list expected";
  case UQ_FIELD_ANY:
    return NULL;
  default:
    return check_string(context, v, wanted);
  }
}

/* True if check_field has put another value in the place of the decoded one. */
static bool is_replaced(enum uq_field_type type) {
  return type == UQ_FIELD_AMOUNT || type == UQ_FIELD_COUNT ||
         type == UQ_FIELD_NAMES;
}

/* Pushes what is wrong with a field. */
static void push_mismatch(lua_State *L,
                          const struct uq_response_context *context,
                          const char *prefix, const char *name,
                          const char *expected, const struct value *v) {
  if (expected == other_currency) {
    uqL_push_redacted(L, v->text, v->len, MAX_CURRENCY, &context->secrets,
                      true);
    lua_pushfstring(L, "the answer's %s%s: asked for %s, got %s", prefix, name,
                    context->currency, lua_tostring(L, -1));
  } else {
    lua_pushfstring(L, "the answer's %s%s: %s, got %s", prefix, name, expected,
                    describe(v));
  }
}

/* ------------------------------------------------------------------------ */
/* a table                                                                   */
/* ------------------------------------------------------------------------ */

/* True if the page whose table is at idx, and whose totals are checked, can
** have no items: there are none at all, or it is behind the last page. */
static bool is_beyond_last_page(lua_State *L, int idx,
                                const struct uq_response_context *context) {
  long size = 0, number = 1;
  lua_getfield(L, idx, "total_items");
  double total = (double)lua_tonumber(L, -1);
  lua_pop(L, 1);
  if (sscanf(context->query, "?page_size=%ld&page_number=%ld", &size,
             &number) != 2)
    number = 1;
  return total <= (double)(number - 1) * (double)size;
}

/* True if the field may be absent from the table at idx. */
static bool may_be_absent(lua_State *L, int idx,
                          const struct uq_response_context *context,
                          const struct uq_field *field) {
  return field->optional || (field->type == UQ_FIELD_ITEMS &&
                             is_beyond_last_page(L, idx, context));
}

/* True if an empty string stands for an amount that may be absent. */
static bool is_blank_amount(const struct uq_field *field,
                            const struct value *v) {
  return field->optional && field->type == UQ_FIELD_AMOUNT &&
         v->type == UQ_JSON_STRING && v->len == 0;
}

static bool check_items(lua_State *L, const struct uq_response_context *context,
                        const char *name);

/* Checks the value at the top, a field of the table at idx, and pops it.
** False: pushes what is wrong. */
static bool check_member(lua_State *L, int idx,
                         const struct uq_response_context *context,
                         const struct uq_field *field, const char *prefix) {
  struct value v = value_at_top(L);
  if (is_blank_amount(field, &v)) { /* null instead: members are counted */
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, idx, field->name);
    v.type = UQ_JSON_ABSENT;
  }
  if (v.type == UQ_JSON_ABSENT && may_be_absent(L, idx, context, field)) {
    lua_pop(L, 1);
    return true;
  }
  if (v.type == UQ_JSON_ABSENT) {
    lua_pushfstring(L, "the answer has no %s%s", prefix, field->name);
    return false;
  }
  const char *expected = check_field(L, context, &v, field->type);
  if (expected != NULL) {
    push_mismatch(L, context, prefix, field->name, expected, &v);
    return false;
  }
  if (field->type == UQ_FIELD_ITEMS && !check_items(L, context, field->name))
    return false;
  if (is_replaced(field->type))
    lua_setfield(L, idx, field->name);
  else
    lua_pop(L, 1);
  return true;
}

/* Checks the decoded table at the top. prefix: what its fields' names begin
** with in messages. False: pushes what is wrong. */
static bool check_table(lua_State *L, const struct uq_response_context *context,
                        const struct uq_field *schema, const char *prefix) {
  int table = lua_gettop(L);
  for (const struct uq_field *field = schema; field->name != NULL; field++) {
    lua_getfield(L, table, field->name);
    if (!check_member(L, table, context, field, prefix))
      return false;
  }
  return true;
}

/* Checks the list at the top, item by item. False: pushes what is wrong. */
static bool check_items(lua_State *L, const struct uq_response_context *context,
                        const char *name) {
  int list = lua_gettop(L);
  for (lua_pushnil(L); lua_next(L, list) != 0; lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TNUMBER || !lua_istable(L, -1)) {
      lua_pushfstring(L, "the answer's %s: a list of objects expected", name);
      return false;
    }
    char prefix[MAX_PREFIX];
    snprintf(prefix, sizeof prefix, "%s[%.0f].", name,
             (double)lua_tonumber(L, -2));
    if (!check_table(L, context, context->endpoint->items, prefix))
      return false;
  }
  return true;
}

bool uqL_schema_check(lua_State *L, const struct uq_response_context *context) {
  return check_table(L, context, context->endpoint->schema, "");
}
