/*
** endpoint.c - the table of the API's calls, and what a request is made of.
** Every fact is from the Card Issuance API v1.6 reference,
** https://developers.uqpay.com/card-issuance/v1.6/api-reference/
** SPDX-License-Identifier: MIT
*/
#include <stdio.h>
#include <string.h>

#include "uqpay.h"

/* retrieve-issuing-balance: all eight are marked required. The statuses are an
** open set, and times come in several forms: both stay raw text. */
static const struct uq_field balance_schema[] = {
    {"balance_id", UQ_FIELD_NAME},
    {"currency", UQ_FIELD_CURRENCY},
    {"available_balance", UQ_FIELD_AMOUNT},
    {"margin_balance", UQ_FIELD_AMOUNT},
    {"frozen_balance", UQ_FIELD_AMOUNT},
    {"create_time", UQ_FIELD_TEXT},
    {"last_trade_time", UQ_FIELD_TEXT},
    {"balance_status", UQ_FIELD_NAME},
    {NULL, UQ_FIELD_TEXT}};

const struct uq_endpoint uq_endpoint_balance = {
    "balance", "POST", "/v1/issuing/balances", balance_schema};

void uq_endpoint_url(const struct uq_endpoint *e, const char *base_url,
                     char url[UQ_URL_MAX]) {
  snprintf(url, UQ_URL_MAX, "%s%s", base_url, e->path);
}

void uq_endpoint_body(const char *currency, char body[UQ_BODY_MAX]) {
  /* a checked currency needs no escapes */
  snprintf(body, UQ_BODY_MAX, "{\"currency\":\"%s\"}", currency);
}

#define TOKEN_HEADER "x-auth-token: "

/* Appends "name: value" and the NUL that ends a line. */
static enum uq_buf_status header(struct uq_buf *headers, const char *name,
                                 const char *value) {
  enum uq_buf_status status = uq_buf_append(headers, name, strlen(name));
  if (status == UQ_BUF_OK)
    status = uq_buf_append(headers, value, strlen(value) + 1);
  return status;
}

enum uq_buf_status uq_endpoint_headers(struct uq_buf *headers,
                                       const char *token, const char *key,
                                       const char *on_behalf_of) {
  enum uq_buf_status status =
      header(headers, "Content-Type: ", "application/json");
  if (status == UQ_BUF_OK)
    status = header(headers, TOKEN_HEADER, token);
  if (status == UQ_BUF_OK && key[0] != '\0')
    status = header(headers, "x-idempotency-key: ", key);
  if (status == UQ_BUF_OK && on_behalf_of[0] != '\0')
    status = header(headers, "x-on-behalf-of: ", on_behalf_of);
  return status;
}

const char *uq_endpoint_token(const struct uq_buf *headers) {
  size_t prefix = sizeof TOKEN_HEADER - 1;
  for (size_t at = 0; at < headers->len;) {
    const char *line = headers->data + at;
    if (strncmp(line, TOKEN_HEADER, prefix) == 0)
      return line + prefix;
    at += strlen(line) + 1;
  }
  return NULL;
}
