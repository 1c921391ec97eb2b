/*
** header.c - response headers (src/engine/http/response_headers.c) and
** Retry-After (src/engine/number/retry_after.c). The bytes are lines.
** SPDX-License-Identifier: MIT
*/
#include "fuzz.h"

#include "engine/http/response_headers.h"
#include "engine/number/retry_after.h"

static const char lower[] = "abcdefghijklmnopqrstuvwxyz";

static char lowered(char c) {
  return c >= 'A' && c <= 'Z' ? lower[c - 'A'] : c;
}

/* The value of a line of that name, as it is kept; false: it is none. */
static bool value_of(const char *line, size_t len, const char *name,
                     char value[UQ_HEADER_MAX]) {
  size_t n = strlen(name), begin, end = len;
  if (len <= n || line[n] != ':')
    return false;
  for (size_t i = 0; i < n; i++) {
    if (lowered(line[i]) != name[i])
      return false;
  }
  for (begin = n + 1; begin < end && strchr(" \t\r\n", line[begin]) != NULL &&
                      line[begin] != '\0';
       begin++)
    continue;
  while (end > begin && strchr(" \t\r\n", line[end - 1]) != NULL &&
         line[end - 1] != '\0')
    end--;
  if (begin == end)
    return false;
  memset(value, 0, UQ_HEADER_MAX);
  for (size_t i = 0; begin + i < end && i < UQ_HEADER_MAX - 1; i++) {
    unsigned char c = (unsigned char)line[begin + i];
    value[i] = c < 32 || c == 127 ? '?' : (char)c;
  }
  return true;
}

/* What must be there after all lines. */
struct expected {
  char request_id[UQ_HEADER_MAX], retry_after[UQ_HEADER_MAX];
  char location[UQ_HEADER_MAX], content_encoding[UQ_HEADER_MAX];
  int rank;
  size_t bytes;
};

static void expect(struct expected *e, const char *line, size_t len) {
  static const char *const ids[] = {"x-b3-traceid", "request-id",
                                    "x-request-id"};
  char value[UQ_HEADER_MAX];
  e->bytes += len;
  if (len >= 5 && memcmp(line, "HTTP/", 5) == 0) { /* a new answer */
    size_t all = e->bytes;
    memset(e, 0, sizeof *e);
    e->bytes = all;
  }
  if (value_of(line, len, "location", value))
    memcpy(e->location, value, sizeof value);
  if (value_of(line, len, "content-encoding", value))
    memcpy(e->content_encoding, value, sizeof value);
  if (value_of(line, len, "retry-after", value))
    memcpy(e->retry_after, value, sizeof value);
  for (int i = 0; i < 3; i++) {
    if (i >= e->rank && value_of(line, len, ids[i], value)) {
      memcpy(e->request_id, value, sizeof value);
      e->rank = i + 1;
    }
  }
}

/* A Retry-After as seconds: at most an hour, else nothing. */
static void check_retry_after(const char *value) {
  double now = 784111777 - 60; /* a minute before Sun, 06 Nov 1994 08:49:37 */
  double seconds = uq_retry_after(value, now);
  bool digits = *value != '\0';
  long number = 0;
  CHECK(seconds >= 0 && seconds <= 3600);
  for (const char *p = value; *p != '\0'; p++) {
    digits = digits && *p >= '0' && *p <= '9';
    if (digits && number <= 3600)
      number = number * 10 + (*p - '0');
  }
  if (digits)
    CHECK(seconds == (number <= 3600 ? (double)number : 0));
  else
    CHECK(seconds == 0 || (strlen(value) == 29 && value[3] == ',' &&
                           strcmp(value + 25, " GMT") == 0));
  if (strcmp(value + (value[0] != '\0'), "un, 06 Nov 1994 08:49:37 GMT") == 0 &&
      value[0] == 'S')
    CHECK(seconds == 60);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
  struct uq_response_headers r;
  struct expected e;
  memset(&r, 0, sizeof r);
  memset(&e, 0, sizeof e);
  for (size_t at = 0; at < len;) {
    const uint8_t *newline = memchr(bytes + at, '\n', len - at);
    size_t n = newline != NULL ? (size_t)(newline - bytes) - at + 1 : len - at;
    char *line = fuzz_copy(bytes + at, n, false);
    expect(&e, line, n);
    CHECK(uq_response_headers_line(&r, line, n, true) == (e.bytes <= 65536));
    free(line);
    at += n;
  }
  CHECK(strcmp(r.request_id, e.request_id) == 0);
  CHECK(strcmp(r.retry_after, e.retry_after) == 0);
  CHECK(strcmp(r.location, e.location) == 0);
  CHECK(strcmp(r.content_encoding, e.content_encoding) == 0);
  CHECK(r.bytes == e.bytes);
  check_retry_after(r.retry_after);
  return 0;
}
