/*
** retry_after.h - the Retry-After header. Knows no Lua and no curl.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_NUMBER_RETRY_AFTER_H
#define UQ_NUMBER_RETRY_AFTER_H

#pragma GCC visibility push(hidden)

/*
** Reads a Retry-After value (RFC 9110, section 10.2.3): seconds or an HTTP
** date; now_unix is the wall clock's time. Returns seconds above 0 and up to
** an hour; 0 for anything else (nothing, negative, huge, past, words).
*/
double uq_retry_after(const char *value, double now_unix);

#pragma GCC visibility pop

#endif
