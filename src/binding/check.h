/*
** check.h - checks of text from outside: what does not pass is never sent.
** Knows no Lua and no curl.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_CHECK_H
#define UQ_CHECK_H

#include <stdbool.h>
#include <stddef.h>

#pragma GCC visibility push(hidden)

#define UQ_CURRENCY_MAX 5 /* characters */
#define UQ_ACCOUNT_MAX 36 /* of a UUID; a short id has fewer */

/* Returns NULL if the text passes, else what is expected. A NUL is at
** text[len], and may be before. */
typedef const char *uq_check(const char *text, size_t len);

uq_check uq_check_text;       /* no control characters */
uq_check uq_check_credential; /* visible ASCII */
uq_check uq_check_proxy;      /* a proxy's URL, or "" for none */
uq_check uq_check_base_url;   /* its length only: see uq_url_check */
uq_check uq_check_pin;        /* "sha256//<base64>", several with ";" between */
uq_check uq_check_currency;   /* "USD", "XUSD": the API has no list of them */
uq_check uq_check_uuid;
uq_check uq_check_account; /* a UUID, or a short id: "CB" and digits */
uq_check uq_check_time;    /* a date with its time and zone */
uq_check uq_check_word;    /* at most 64 visible ASCII characters */

/* True if the text is visible ASCII that can stand in a User-Agent. */
bool uq_check_agent(const char *text, size_t len);

/* A wrong value that may come from outside the program: the call fails with
** kind `invalid_request`. */
struct uq_refusal {
  const char *option; /* NULL: no value is wrong */
  char expected[100];
};

/* Notes that an option's value is wrong. Of several options the first by name
** is kept, whatever the order of the table. empty: the value is "". */
void uq_refuse(struct uq_refusal *refused, const char *option,
               const char *expected, bool empty);

#pragma GCC visibility pop

#endif
