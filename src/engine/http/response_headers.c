/*
** response_headers.c - see response_headers.h.
** SPDX-License-Identifier: MIT
*/
#include "engine/http/response_headers.h"

#include <string.h>

#include "engine/base/ascii.h"

#define MAX_BYTES 65536 /* with informational responses and trailers */
#define REQUEST_ID_NAMES 3

static bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Copies a value as it is kept: see uq_response_headers. */
static void copy_value(char *value, const char *bytes, size_t len) {
  size_t n = len < UQ_HEADER_MAX ? len : UQ_HEADER_MAX - 1;
  for (size_t i = 0; i < n; i++)
    value[i] = uq_has_control(&bytes[i], 1) ? '?' : bytes[i];
  value[n] = '\0';
}

/* Keeps the value if the line has this name and the value is not empty. */
static bool keep_value(char *value, const char *name, const char *line,
                       size_t len) {
  size_t n = strlen(name);
  if (len <= n || line[n] != ':' || !uq_begins(line, len, name))
    return false;
  const char *begin = line + n + 1, *end = line + len;
  while (begin < end && is_blank(*begin))
    begin++;
  while (end > begin && is_blank(end[-1]))
    end--;
  if (begin == end)
    return false;
  copy_value(value, begin, (size_t)(end - begin));
  return true;
}

static void keep_request_id(struct uq_response_headers *r, const char *line,
                            size_t len) {
  static const char *const names[REQUEST_ID_NAMES] = {
      "x-b3-traceid", "request-id", "x-request-id"};
  for (int i = r->request_id_rank; i < REQUEST_ID_NAMES; i++) {
    if (keep_value(r->request_id, names[i], line, len))
      r->request_id_rank = i + 1;
  }
}

/* The three digits after the version in a status line; -1: there are not three.
 */
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

void uq_response_headers_clear(struct uq_response_headers *r) {
  r->request_id[0] = r->retry_after[0] = '\0';
  r->location[0] = r->content_encoding[0] = '\0';
  r->request_id_rank = r->status = 0;
  r->complete = false;
  r->bytes = 0;
}

bool uq_response_headers_line(struct uq_response_headers *r, const char *line,
                              size_t len, bool keep) {
  static const char version[] = "HTTP/";
  size_t bytes = r->bytes + len;
  if (!keep) {
    r->bytes = bytes;
    return bytes <= MAX_BYTES;
  }
  if (len >= sizeof version - 1 &&
      memcmp(line, version, sizeof version - 1) == 0) {
    uq_response_headers_clear(r);
    r->status = read_status(line, len);
  }
  r->bytes = bytes;
  if (len > 0 && (line[0] == '\r' || line[0] == '\n'))
    r->complete = true;
  switch (len > 0 ? line[0] | 0x20 : 0) { /* saves most comparisons */
  case 'c':
    keep_value(r->content_encoding, "content-encoding", line, len);
    break;
  case 'l':
    keep_value(r->location, "location", line, len);
    break;
  case 'r':
    if (!keep_value(r->retry_after, "retry-after", line, len))
      keep_request_id(r, line, len);
    break;
  case 'x':
    keep_request_id(r, line, len);
    break;
  default:
    break;
  }
  return bytes <= MAX_BYTES;
}
