/*
** response_headers.h - the few response headers that are kept. Knows no Lua and
** no curl.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_HTTP_RESPONSE_HEADERS_H
#define UQ_HTTP_RESPONSE_HEADERS_H

#include <stdbool.h>
#include <stddef.h>

#pragma GCC visibility push(hidden)

#define UQ_HEADER_MAX 256 /* bytes kept of a value, its NUL included */

/* All zero: nothing was received. Values are trimmed and cut, and their control
** bytes are question marks: they end up in messages. */
struct uq_response_headers {
  char request_id[UQ_HEADER_MAX];
  char retry_after[UQ_HEADER_MAX];
  char location[UQ_HEADER_MAX];
  char content_encoding[UQ_HEADER_MAX];
  int request_id_rank; /* of the header it came in: the highest one is kept */
  int status;          /* of the status line; -1: malformed; 0: none came */
  bool complete;       /* the blank line after the headers has come */
  size_t bytes;        /* of all header lines, kept or not */
};

/* Forgets what was received; the bytes of the values stay. (To set all of it to
** zero takes 130 instructions, three times a call.) */
void uq_response_headers_clear(struct uq_response_headers *r);

/* Takes a line as it came. A status line begins a new response. Without `keep`
** the line is counted only. False: the lines have too many bytes. */
bool uq_response_headers_line(struct uq_response_headers *r, const char *line,
                              size_t len, bool keep);

#pragma GCC visibility pop

#endif
