/*
** flat_response.c - see flat_response.h.
** SPDX-License-Identifier: MIT
*/
#include "binding/flat_response.h"

#include <string.h>

#include "binding/json.h"
#include "binding/response_context.h"
#include "binding/schema.h"
#include "binding/token.h"
#include "engine/api/endpoint.h"
#include "engine/base/buf.h"
#include "engine/number/flat_json.h"
#include "engine/number/number.h"

#define MAX_MEMBERS 16 /* of a body; no schema has more fields */

static bool has_name(const struct uq_member *m, const char *name) {
  return strlen(name) == m->name_len && memcmp(m->name, name, m->name_len) == 0;
}

/* The schema's field of the member's name; guess is tried first. NULL: there is
** none, or its value is not a string or number. */
static const struct uq_field *
find_field(const struct uq_response_context *context,
           const struct uq_field *guess, const struct uq_member *m) {
  const struct uq_field *f = guess, *schema = context->endpoint->schema;
  if (f->name == NULL || !has_name(m, f->name)) {
    for (f = schema; f->name != NULL && !has_name(m, f->name); f++)
      continue;
  }
  bool plain = f->type <= UQ_FIELD_AMOUNT || context->token != NULL;
  return f->name != NULL && plain ? f : NULL;
}

/* Copies the token of a login. False: it is not a token. */
static bool copy_token(const struct uq_response_context *context,
                       const struct uq_member *m) {
  uq_buf_init(context->token, m->len);
  return m->string && uq_token_check(m->text, m->len) == NULL &&
         uq_buf_append(context->token, m->text, m->len) == UQ_BUF_OK;
}

/* Pushes the value of a member. False: it is not as the schema wants it. */
static bool push_value(lua_State *L, const struct uq_response_context *context,
                       const struct uq_field *f, const struct uq_member *m) {
  if (f->type == UQ_FIELD_AMOUNT)
    return (!m->string || uq_number_valid(m->text, m->len)) &&
           uqL_json_push_number(L, m->text, m->len, context->amounts, true);
  if (f->type == UQ_FIELD_TOKEN) {
    lua_pushboolean(L, 1);
    return copy_token(context, m);
  }
  if (f->type != UQ_FIELD_ANY &&
      (!m->string ||
       uq_schema_check_string(context, m->text, m->len, f->type) != NULL))
    return false;
  lua_pushlstring(L, m->text, m->len);
  return true;
}

static unsigned field_bit(const struct uq_field *schema,
                          const struct uq_field *f) {
  return 1u << (f - schema);
}

/* True if all fields that must be there are among those seen. */
static bool is_complete(const struct uq_field *schema, unsigned seen) {
  const struct uq_field *f = schema;
  while (f->name != NULL && (f->optional || (seen & field_bit(schema, f)) != 0))
    f++;
  return f->name == NULL;
}

/* Sets the members in the table at the top. False: one is not as the schema
** wants it, or one is missing. */
static bool set_members(lua_State *L, const struct uq_response_context *context,
                        const struct uq_member *members, int count) {
  const struct uq_field *schema = context->endpoint->schema, *guess = schema;
  unsigned seen = 0;
  for (int i = 0; i < count; i++) {
    const struct uq_field *f = find_field(context, guess, &members[i]);
    if (f == NULL || (seen & field_bit(schema, f)) != 0 ||
        !push_value(L, context, f, &members[i]))
      return false;
    lua_setfield(L, -2, f->name);
    seen |= field_bit(schema, f);
    guess = f + 1;
  }
  return is_complete(schema, seen);
}

bool uqL_flat_response_decode(lua_State *L,
                              const struct uq_response_context *context,
                              const char *text, size_t len) {
  struct uq_member members[MAX_MEMBERS];
  int top = lua_gettop(L);
  int count = uq_flat_json_parse(text, len, members, MAX_MEMBERS);
  if (count == 0)
    return false;
  lua_createtable(L, 0, count);
  bool good = set_members(L, context, members, count);
  if (!good)
    lua_settop(L, top);
  return good;
}
