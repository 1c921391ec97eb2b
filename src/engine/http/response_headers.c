/*
** response_headers.c - see response_headers.h.
** SPDX-License-Identifier: MIT
*/
#include "engine/http/response_headers.h"

#include <string.h>

#include "engine/base/ascii.h"

#define MAX_BYTES 65536 /* informational answers and trailers included */

static bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Takes the value of a line that bears this name, unless it is empty. */
static bool take(char *value, const char *name, const char *line, size_t len) {
  size_t n = strlen(name), kept = 0;
  if (len <= n || line[n] != ':' || !uq_begins(line, len, name))
    return false;
  const char *p = line + n + 1, *end = line + len;
  while (p < end && is_blank(*p))
    p++;
  while (end > p && is_blank(end[-1]))
    end--;
  if (p == end)
    return false;
  for (; p < end && kept < UQ_HEADER_MAX - 1; p++, kept++)
    value[kept] = (unsigned char)*p < 0x20 || *p == 0x7F ? '?' : *p;
  value[kept] = '\0';
  return true;
}

static void take_request_id(struct uq_response_headers *r, const char *line,
                            size_t len) {
  static const char *const names[] = {"x-b3-traceid", "request-id",
                                      "x-request-id"};
  for (int i = 0; i < 3; i++) {
    if (i + 1 > r->request_id_rank && take(r->request_id, names[i], line, len))
      r->request_id_rank = i + 1;
  }
}

/* The three digits after the version in a status line, or -1. */
static int read_status(const char *line, size_t len) {
  size_t i = 0, digits = 0;
  int status = 0;
  while (i < len && !is_blank(line[i]))
    i++;
  while (i < len && is_blank(line[i]))
    i++;
  for (; i < len && uq_is_digit(line[i]) && digits <= 3; i++, digits++)
    status = status * 10 + (line[i] - '0');
  return digits == 3 ? status : -1;
}

bool uq_response_headers_line(struct uq_response_headers *r, const char *line,
                              size_t len, bool keep) {
  size_t bytes = r->bytes + len;
  if (!keep) {
    r->bytes = bytes;
    return bytes <= MAX_BYTES;
  }
  if (len >= 5 && memcmp(line, "HTTP/", 5) == 0) {
    memset(r, 0, sizeof *r);
    r->status = read_status(line, len);
  }
  r->bytes = bytes;
  if (len > 0 && (line[0] == '\r' || line[0] == '\n'))
    r->complete = true;
  switch (len > 0 ? line[0] | 0x20 : 0) { /* spares most comparisons */
  case 'c':
    take(r->content_encoding, "content-encoding", line, len);
    break;
  case 'l':
    take(r->location, "location", line, len);
    break;
  case 'r':
    if (!take(r->retry_after, "retry-after", line, len))
      take_request_id(r, line, len);
    break;
  case 'x':
    take_request_id(r, line, len);
    break;
  default:
    break;
  }
  return bytes <= MAX_BYTES;
}
