/*
** redact.h - texts from outside without our secrets: also where a secret is
** escaped as JSON, URLs and HTML do, is in base64, is broken by white space, or
** is there in part. Knows no Lua and no curl.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_BASE_REDACT_H
#define UQ_BASE_REDACT_H

#include <stdbool.h>
#include <stddef.h>

#pragma GCC visibility push(hidden)

/* Tokens as they were sent, "Bearer " in front or not. NULL: none. */
struct uq_secrets {
  const char *sent;
  const char *earlier; /* that of an attempt before */
};

/*
** Writes text to out, which has size bytes, cut to fit, with "[redacted]" in
** the place of secrets and of longer parts of them. With line, control bytes
** become blanks. Returns the bytes written; no NUL is.
*/
#define UQ_REDACT_NOMEM ((size_t)-1) /* nothing is written */
size_t uq_redact(const char *text, size_t len, const struct uq_secrets *secrets,
                 bool line, char *out, size_t size);

#pragma GCC visibility pop

#endif
