/*
** option_reading.h - an option table that is being read, and its errors. They
** name the option and say what is expected, and never quote its value.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_OPTION_READING_H
#define UQ_OPTION_READING_H

#include <stdbool.h>
#include <stddef.h>

#include "binding/check.h"
#include "binding/compat.h"

#pragma GCC visibility push(hidden)

struct uq_client;
struct uq_endpoint;
struct uq_options;

/* What an option table is for: a set of these. */
enum uq_option_scope {
  UQ_FOR_CLIENT = 1,
  UQ_FOR_CALL = 2,
  UQ_FOR_BOTH = UQ_FOR_CLIENT | UQ_FOR_CALL,
  UQ_FOR_POST = 4,   /* a call for one currency's balance */
  UQ_FOR_BEHALF = 8, /* a call that takes x-on-behalf-of */
  UQ_FOR_BATCH = 16, /* a batch, besides those of a call */
  UQ_FOR_EACH = 32   /* an iterator over a list, besides those of a call */
};

/* A table that is being read. */
struct uq_reading {
  const char *method;                 /* for messages */
  int scope;                          /* of enum uq_option_scope */
  const struct uq_endpoint *endpoint; /* of a call: its parameters are read by
                                         uqL_query_push. Else NULL */
  struct uq_options *options;         /* are set */
  struct uq_refusal *refused; /* takes a wrong value; NULL: that raises */
  struct uq_client *client;   /* of UQ_FOR_CLIENT; else NULL */
  int user_value;             /* the index of the client's */
};

struct uq_option;

/* Reads the value at the top, which is given for the option, into its field of
** r->options. */
typedef void uqL_option_reader(lua_State *L, const struct uq_reading *r,
                               const struct uq_option *o, void *field);

/* An option. */
struct uq_option {
  const char *name;
  uqL_option_reader *read;
  int scope;                /* of enum uq_option_scope */
  size_t offset;            /* of its field in struct uq_options, if any */
  double min, max;          /* of a number; max: the size of a char array */
  const char *const *names; /* of a choice; ends with NULL */
  uq_check *check;          /* of a text */
};

/* All raise; they return an int for `return`. */

/* "bad option '<name>' to '<method>' (<expected>)" */
int uqL_option_error(lua_State *L, const struct uq_reading *r, const char *name,
                     const char *expected);

/* The same: the value at the top is of another type. */
int uqL_option_type_error(lua_State *L, const struct uq_reading *r,
                          const char *name, const char *expected);

/* The same: the string at the top is not of the expected form. */
int uqL_option_text_error(lua_State *L, const struct uq_reading *r,
                          const char *name, const char *expected);

/* Raises if the table at idx inherits fields: they would not be seen. */
void uqL_option_check_plain(lua_State *L, const struct uq_reading *r, int idx);

/* True if the value at idx is this string, without a NUL in it. */
bool uqL_option_equals(lua_State *L, int idx, const char *text);

#pragma GCC visibility pop

#endif
