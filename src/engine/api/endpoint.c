/*
** endpoint.c - the table of the API's endpoints, and the parts of a request. A
** further endpoint is a row and its schema. Every fact is from the v1.6
** reference,
** https://developers.uqpay.com/card-issuance/v1.6/api-reference/ and
** https://developers.uqpay.com/account-center/v1.6/api-reference/
** SPDX-License-Identifier: MIT
*/
#include "engine/api/endpoint.h"

#include <string.h>

/* ------------------------------------------------------------------------ */
/* schemas: amounts, currencies, ids and totals are required, and of their    */
/* form, since money depends on them. Statuses are extensible enums, times    */
/* come in several forms; these and names may be absent, null or empty        */
/* ------------------------------------------------------------------------ */

/* retrieve-issuing-balance: all eight are marked required. */
/* clang-format off */
#define BALANCE(currency) { \
    {"balance_id", UQ_FIELD_NAME, false}, \
    {"currency", currency, false}, \
    {"available_balance", UQ_FIELD_AMOUNT, false}, \
    {"margin_balance", UQ_FIELD_AMOUNT, false}, \
    {"frozen_balance", UQ_FIELD_AMOUNT, false}, \
    {"create_time", UQ_FIELD_TEXT, true}, \
    {"last_trade_time", UQ_FIELD_TEXT, true}, \
    {"balance_status", UQ_FIELD_TEXT, true}, \
    {NULL, UQ_FIELD_ANY, false}}
/* clang-format on */

static const struct uq_field balance_schema[] = BALANCE(UQ_FIELD_CURRENCY);
static const struct uq_field balance_items[] = BALANCE(UQ_FIELD_NAME);

/* access-token; expired_at was seen in several forms, and missing. */
static const struct uq_field token_schema[] = {
    {"auth_token", UQ_FIELD_TOKEN, false},
    {"expired_at", UQ_FIELD_ANY, true},
    {NULL, UQ_FIELD_ANY, false}};

static const struct uq_field page_schema[] = {
    {"total_pages", UQ_FIELD_COUNT, false},
    {"total_items", UQ_FIELD_COUNT, false},
    {"data", UQ_FIELD_ITEMS, false},
    {NULL, UQ_FIELD_ANY, false}};

/* list-issuing-balances-transactions; ending_balance and description were added
** later; only complete ones have complete_time. The type is required, since it
** may say if the amount came in or went out. */
static const struct uq_field transaction_items[] = {
    {"transaction_id", UQ_FIELD_NAME, false},
    {"transaction_type", UQ_FIELD_NAME, false},
    {"currency", UQ_FIELD_CURRENCY, false},
    {"amount", UQ_FIELD_AMOUNT, false},
    {"transaction_status", UQ_FIELD_TEXT, true},
    {"create_time", UQ_FIELD_TEXT, true},
    {"complete_time", UQ_FIELD_TEXT, true},
    {"short_transaction_id", UQ_FIELD_TEXT, true},
    {"account_id", UQ_FIELD_PLAIN, true},
    {"account_name", UQ_FIELD_TEXT, true},
    {"balance_id", UQ_FIELD_PLAIN, true},
    {"ending_balance", UQ_FIELD_AMOUNT, true},
    {"description", UQ_FIELD_ANY, true},
    {NULL, UQ_FIELD_ANY, false}};

/* list-connected-accounts; account_id is what x-on-behalf-of takes. */
static const struct uq_field account_items[] = {
    {"account_id", UQ_FIELD_NAME, false},
    {"status", UQ_FIELD_TEXT, true},
    {"business_code", UQ_FIELD_NAMES, true},
    {"account_name", UQ_FIELD_ANY, true},
    {"verification_status", UQ_FIELD_TEXT, true},
    {"entity_type", UQ_FIELD_TEXT, true},
    {"country", UQ_FIELD_TEXT, true},
    {NULL, UQ_FIELD_ANY, false}};

/* ------------------------------------------------------------------------ */
/* parameters: page_size and page_number are marked required                 */
/* ------------------------------------------------------------------------ */

/* clang-format off */
#define PAGE \
    {"page_size", UQ_PARAM_COUNT, 100, "10"}, \
    {"page_number", UQ_PARAM_COUNT, 1000000000, "1"}
/* clang-format on */

static const struct uq_param no_params[] = {{NULL, UQ_PARAM_WORD, 0, NULL}};

static const struct uq_param page_params[] = {PAGE,
                                              {NULL, UQ_PARAM_WORD, 0, NULL}};

static const struct uq_param transaction_params[] = {
    PAGE,
    {"start_time", UQ_PARAM_TIME, 0, NULL},
    {"end_time", UQ_PARAM_TIME, 0, NULL},
    {"transaction_type", UQ_PARAM_WORD, 0, NULL},
    {"transaction_status", UQ_PARAM_WORD, 0, NULL},
    {"currency", UQ_PARAM_CURRENCY, 0, NULL},
    {"transaction_id", UQ_PARAM_UUID, 0, NULL},
    {NULL, UQ_PARAM_WORD, 0, NULL}};

/* ------------------------------------------------------------------------ */
/* the table                                                                 */
/* ------------------------------------------------------------------------ */

/* clang-format off */
const struct uq_endpoint uq_endpoints[UQ_ENDPOINT_COUNT] = {
    {"balance", NULL, "POST", "/v1/issuing/balances",
     balance_schema, NULL, NULL, true, false},
    {"token", NULL, "POST", "/v1/connect/token",
     token_schema, NULL, no_params, false, true},
    {"balances", "each_balance", "GET", "/v1/issuing/balances",
     page_schema, balance_items, page_params, true, false},
    {"transactions", "each_transaction", "GET",
     "/v1/issuing/balances/transactions",
     page_schema, transaction_items, transaction_params, true, false},
    {"accounts", "each_account", "GET", "/v1/accounts",
     page_schema, account_items, page_params, false, false}};
/* clang-format on */

/* ------------------------------------------------------------------------ */
/* requests                                                                  */
/* ------------------------------------------------------------------------ */

/* Copies as much of the text as there is room for before `end`, and a NUL.
** Returns the place of the NUL. (snprintf takes a thousand instructions.) */
static char *append_text(char *at, const char *end, const char *text) {
  size_t room = (size_t)(end - at) - 1;
  size_t len = strlen(text);
  if (len > room)
    len = room;
  memcpy(at, text, len);
  at[len] = '\0';
  return at + len;
}

void uq_endpoint_url(const struct uq_endpoint *e, const char *base_url,
                     const char *query, char url[UQ_URL_MAX]) {
  char *end = url + UQ_URL_MAX;
  url = append_text(url, end, base_url);
  url = append_text(url, end, e->path);
  append_text(url, end, query);
}

void uq_endpoint_body(const char *currency, char body[UQ_BODY_MAX]) {
  /* a currency that was checked needs no escapes */
  char *end = body + UQ_BODY_MAX;
  body = append_text(body, end, "{\"currency\":\"");
  body = append_text(body, end, currency);
  append_text(body, end, "\"}");
}

#define TOKEN_HEADER "x-auth-token: "
#define API_KEY_HEADER "x-api-key: "

/* Appends "name: value" and the NUL that ends a line, if there is a value. */
static enum uq_buf_status append_header(struct uq_buf *block, const char *name,
                                        const char *value) {
  if (value == NULL || value[0] == '\0')
    return UQ_BUF_OK;
  enum uq_buf_status status = uq_buf_append(block, name, strlen(name));
  if (status == UQ_BUF_OK)
    status = uq_buf_append(block, value, strlen(value) + 1);
  return status;
}

/* With a name and no value libcurl sends no such header. By itself it would
** call the empty body of a login a form, which a gateway may refuse. */
static enum uq_buf_status append_content_type(struct uq_buf *block, bool body) {
  static const char none[] = "Content-Type:";
  if (body)
    return append_header(block, "Content-Type: ", "application/json");
  return uq_buf_append(block, none, sizeof none);
}

enum uq_buf_status uq_endpoint_headers(struct uq_buf *block,
                                       const struct uq_headers *h) {
  enum uq_buf_status status =
      append_header(block, "User-Agent: ", h->user_agent);
  if (status == UQ_BUF_OK)
    status = append_content_type(block, h->body);
  if (status == UQ_BUF_OK)
    status = append_header(block, "x-client-id: ", h->client_id);
  if (status == UQ_BUF_OK)
    status = append_header(block, API_KEY_HEADER, h->api_key);
  if (status == UQ_BUF_OK)
    status = append_header(block, TOKEN_HEADER, h->token);
  if (status == UQ_BUF_OK)
    status = append_header(block, "x-idempotency-key: ", h->key);
  if (status == UQ_BUF_OK)
    status = append_header(block, "x-on-behalf-of: ", h->on_behalf_of);
  return status;
}

const char *uq_endpoint_secret(const struct uq_buf *block) {
  static const char *const names[] = {TOKEN_HEADER, API_KEY_HEADER};
  for (size_t at = 0; at < block->len;) {
    const char *line = block->data + at;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
      if (strncmp(line, names[i], strlen(names[i])) == 0)
        return line + strlen(names[i]);
    }
    at += strlen(line) + 1;
  }
  return NULL;
}
