/*
** endpoint.h - the endpoints of the API: one row each. Knows no Lua and no
** curl.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_API_ENDPOINT_H
#define UQ_API_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/base/buf.h"

#pragma GCC visibility push(hidden)

#define UQ_URL_MAX 2200
#define UQ_QUERY_MAX 1024

enum uq_field_type {
  UQ_FIELD_TEXT,     /* a string */
  UQ_FIELD_PLAIN,    /* a string without control bytes */
  UQ_FIELD_NAME,     /* the same, and not empty */
  UQ_FIELD_CURRENCY, /* the same; the requested currency, if there is one */
  UQ_FIELD_AMOUNT,   /* a number, or its digits in a string; "" is absent */
  UQ_FIELD_COUNT,    /* a whole number from 0 on */
  UQ_FIELD_NAMES,    /* a list of strings; one string becomes a list */
  UQ_FIELD_ITEMS,    /* a list of objects: the endpoint's items; absent if there
                        can be none */
  UQ_FIELD_TOKEN,    /* a string that can be sent as a token */
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
  UQ_PARAM_CURRENCY, /* items must be in it */
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
  const char *each; /* the iterator over the items of all pages; NULL: none */
  const char *method;
  const char *path;
  const struct uq_field *schema;
  const struct uq_field *items;  /* of UQ_FIELD_ITEMS; the first is their id */
  const struct uq_param *params; /* of the query; NULL: a currency is POSTed */
  bool behalf;                   /* takes x-on-behalf-of */
  bool login;                    /* sends credentials, receives a token */
};

extern const struct uq_endpoint uq_endpoints[];
#define UQ_ENDPOINT_BALANCE (&uq_endpoints[0])
#define UQ_ENDPOINT_TOKEN (&uq_endpoints[1])
#define UQ_ENDPOINT_COUNT 5 /* at most UQ_LATENCIES */

/* Builds "base + path + query" in url. */
void uq_endpoint_url(const struct uq_endpoint *e, const char *base_url,
                     const char *query, char url[UQ_URL_MAX]);

/* Builds the body of a request for a currency. */
#define UQ_BODY_MAX 32
void uq_endpoint_body(const char *currency, char body[UQ_BODY_MAX]);

/* The values of a request's headers; NULL or "": the header is left out. */
struct uq_headers {
  const char *user_agent;
  const char *client_id, *api_key;
  const char *token;
  const char *key;
  const char *on_behalf_of;
  bool body; /* there is one, of JSON */
};

/* Fills an empty header block. */
enum uq_buf_status uq_endpoint_headers(struct uq_buf *block,
                                       const struct uq_headers *h);

/* The token or api_key in a header block, as it was given; NULL: none.
 */
const char *uq_endpoint_secret(const struct uq_buf *block);

#pragma GCC visibility pop

#endif
