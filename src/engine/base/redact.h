/*
** redact.h - removes secrets from texts of others, also where a secret is
** escaped (JSON, URL, HTML), in base64, broken by white space, or incomplete.
** Knows no Lua and no curl.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_BASE_REDACT_H
#define UQ_BASE_REDACT_H

#include <stdbool.h>
#include <stddef.h>

#pragma GCC visibility push(hidden)

/* Tokens as they were sent, with "Bearer " or without. NULL: none. */
struct uq_secrets {
  const char *sent;
  const char *earlier; /* of an earlier attempt */
};

/*
** Writes text to out, which has size bytes, cut to fit, with "[redacted]" in
** place of secrets and of parts of 16 characters or more. With line, control
** bytes become spaces. Returns the bytes written, without a NUL.
*/
#define UQ_REDACT_NOMEM ((size_t)-1) /* nothing was written */
size_t uq_redact(const char *text, size_t len, const struct uq_secrets *secrets,
                 bool line, char *out, size_t size);

#pragma GCC visibility pop

#endif
