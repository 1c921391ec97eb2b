/*
** check.c - see check.h.
** SPDX-License-Identifier: MIT
*/
#include "binding/check.h"

#include <stdio.h>
#include <string.h>

#include "engine/base/ascii.h"
#include "engine/base/uuid.h"
#include "engine/http/url.h"
#include "engine/number/datetime.h"

/* Bytes. */
#define MAX_TEXT 512
#define MAX_BASE_URL 1024
#define MAX_WORD 64

/* Digits of a short id. UQPAY's documents show ten; the API judges others. */
#define MIN_SHORT_ID 4
#define MAX_SHORT_ID 20

bool uq_check_agent(const char *text, size_t len) {
  return len > 0 && uq_is_visible(text, len) && strpbrk(text, "()") == NULL;
}

const char *uq_check_text(const char *text, size_t len) {
  bool good = len > 0 && len <= MAX_TEXT && !uq_has_control(text, len);
  return good ? NULL
              : "text of 1 to " UQ_DIGITS_OF(
                    MAX_TEXT) " bytes without control bytes expected";
}

const char *uq_check_credential(const char *text, size_t len) {
  bool good = len > 0 && len <= MAX_TEXT && uq_is_visible(text, len);
  return good ? NULL
              : "1 to " UQ_DIGITS_OF(MAX_TEXT) " visible ASCII bytes expected";
}

const char *uq_check_proxy(const char *text, size_t len) {
  if (len == 0) /* turns proxies off */
    return NULL;
  const char *expected = uq_check_text(text, len);
  return expected != NULL ? expected : uq_proxy_check(text);
}

const char *uq_check_base_url(const char *text, size_t len) {
  bool good = len > 0 && len <= MAX_BASE_URL && strlen(text) == len;
  return good
             ? NULL
             : "a URL of at most " UQ_DIGITS_OF(MAX_BASE_URL) " bytes expected";
}

/* Characters of 32 bytes in base64, and the padding behind them. */
#define PIN_DIGITS 43
#define PIN_PADDING '='

const char *uq_check_pin(const char *text, size_t len) {
  static const char prefix[] = "sha256//";
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                               "abcdefghijklmnopqrstuvwxyz0123456789+/";
  const char *expected = "\"sha256//<base64 of 32 bytes>\" expected";
  const char *p = text;
  if (strlen(text) != len || len > MAX_TEXT)
    return expected;
  for (;; p++) {
    if (strncmp(p, prefix, sizeof prefix - 1) != 0)
      return expected;
    p += sizeof prefix - 1;
    if (strspn(p, digits) != PIN_DIGITS || p[PIN_DIGITS] != PIN_PADDING)
      return expected;
    p += PIN_DIGITS + 1;
    if (*p == '\0')
      return NULL;
    if (*p != ';')
      return expected;
  }
}

const char *uq_check_currency(const char *text, size_t len) {
  bool good = len >= 3 && len <= UQ_CURRENCY_MAX;
  for (size_t i = 0; i < len; i++)
    good = good && ((text[i] >= 'A' && text[i] <= 'Z') || uq_is_digit(text[i]));
  return good ? NULL : "an upper-case currency code such as \"USD\" expected";
}

const char *uq_check_uuid(const char *text, size_t len) {
  return uq_uuid_valid(text, len) ? NULL : "a UUID expected";
}

static bool is_short_id(const char *text, size_t len) {
  if (len < 2 + MIN_SHORT_ID || len > 2 + MAX_SHORT_ID || text[0] != 'C' ||
      text[1] != 'B')
    return false;
  for (size_t i = 2; i < len; i++) {
    if (!uq_is_digit(text[i]))
      return false;
  }
  return true;
}

const char *uq_check_account(const char *text, size_t len) {
  bool good = uq_uuid_valid(text, len) || is_short_id(text, len);
  return good ? NULL
              : "a UUID, or a short id such as \"CB4488338944\", expected";
}

const char *uq_check_time(const char *text, size_t len) {
  struct uq_datetime time;
  if (len <= MAX_WORD &&
      uq_datetime_parse(text, len, NULL, &time) == UQ_DATETIME_OK)
    return NULL;
  return "a time with its zone, such as 2024-03-21T17:17:32+08:00, expected";
}

const char *uq_check_word(const char *text, size_t len) {
  bool good = len > 0 && len <= MAX_WORD && uq_is_visible(text, len);
  return good ? NULL
              : "a word of 1 to " UQ_DIGITS_OF(
                    MAX_WORD) " visible ASCII characters expected";
}

void uq_refuse(struct uq_refusal *refused, const char *option,
               const char *expected, bool empty) {
  if (refused->option != NULL && strcmp(refused->option, option) <= 0)
    return;
  refused->option = option;
  snprintf(refused->expected, sizeof refused->expected, "%s%s", expected,
           empty ? ", got an empty string" : "");
}
