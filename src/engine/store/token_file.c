/*
** token_file.c - see token_file.h.
** SPDX-License-Identifier: MIT
*/
#define _GNU_SOURCE          /* nanosleep, fsync */
#define _FILE_OFFSET_BITS 64 /* large inode numbers, too */
#include "engine/store/token_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/ascii.h"
#include "engine/base/buf.h"
#include "engine/base/clock.h"
#include "engine/base/uuid.h"
#include "engine/store/lock_file.h"

#define FILE_MAX 65536 /* bytes */
#define END_DIGITS 15
#define LINE_SIZE (UQ_TOKEN_FILE_TOKEN_MAX + UQ_TOKEN_FILE_KEY_MAX + 32)
#define WRITER 0L            /* the byte of the lock file that writers lock */
#define FIRST_KEY 1L         /* keys lock one of those from here on */
#define KEY_BYTES 0x3FFFFFFF /* so many: off_t may have 32 bits */
#define WRITER_WAIT 5.0      /* seconds: writing takes a few milliseconds */

static const char header[] = "# access tokens of uqpay, version 1\n";

bool uq_token_file_takes(const char *text, size_t len, size_t max) {
  return len > 0 && len <= max && !uq_has_control(text, len);
}

static enum uq_result fail(struct uq_token_file *s, const char *what,
                           const char *why) {
  snprintf(s->message, sizeof s->message, "%s %s: %s", what, s->path, why);
  return UQ_FAILED;
}

/* ---- reading ------------------------------------------------------------ */

/* Anything but UQ_BUF_OK and UQ_BUF_FULL: errno says why. */
static enum uq_buf_status read_all(int fd, struct uq_buf *content) {
  char part[4096];
  enum uq_buf_status status = UQ_BUF_OK;
  ssize_t n;
  do {
    n = read(fd, part, sizeof part);
    if (n > 0)
      status = uq_buf_append(content, part, (size_t)n);
  } while (status == UQ_BUF_OK && (n > 0 || (n < 0 && errno == EINTR)));
  uq_wipe(part, sizeof part);
  return n < 0 ? UQ_BUF_NOMEM : status;
}

/* Reads the file into an empty buffer, which the caller frees. */
static enum uq_result read_file(struct uq_token_file *s,
                                struct uq_buf *content) {
  if (!uq_private_file_folder(s->path, s->message))
    return UQ_FAILED;
  int fd = uq_private_file_open(s->path, O_RDONLY, s->message);
  if (fd < 0)
    return s->message[0] == '\0' ? UQ_NOT : UQ_FAILED;
  enum uq_buf_status status = read_all(fd, content);
  int error = status == UQ_BUF_FULL ? EFBIG : errno;
  close(fd);
  if (status != UQ_BUF_OK)
    return fail(s, "cannot read", strerror(error));
  return content->len == 0 ? UQ_NOT : UQ_DONE;
}

/* Reads the entry at *at and goes behind it. False: it is none. */
static bool read_entry(const char **at, const char *end,
                       struct uq_stored_token *e) {
  const char *p = *at;
  const char *line_end = memchr(p, '\n', (size_t)(end - p));
  if (line_end == NULL)
    return false;
  for (e->end = 0; *p >= '0' && *p <= '9'; p++)
    e->end = e->end * 10 + (*p - '0');
  if (p == *at || p - *at > END_DIGITS || *p != '\t')
    return false;
  e->token = p + 1;
  const char *tab = memchr(e->token, '\t', (size_t)(line_end - e->token));
  if (tab == NULL)
    return false;
  e->token_len = (size_t)(tab - e->token);
  e->key = tab + 1;
  e->key_len = (size_t)(line_end - e->key);
  *at = line_end + 1;
  return uq_token_file_takes(e->token, e->token_len, UQ_TOKEN_FILE_TOKEN_MAX) &&
         uq_token_file_takes(e->key, e->key_len, UQ_TOKEN_FILE_KEY_MAX);
}

/* Reads the next entry of a file that is not empty, from *at, which is NULL at
** first. UQ_NOT: there are no more. */
static enum uq_result next_entry(struct uq_token_file *s,
                                 const struct uq_buf *content, const char **at,
                                 struct uq_stored_token *e) {
  const char *end = content->data + content->len;
  const size_t len = sizeof header - 1;
  bool first = *at == NULL;
  if (first)
    *at = content->data + len;
  if (!first ||
      (content->len >= len && memcmp(content->data, header, len) == 0)) {
    if (*at == end)
      return UQ_NOT;
    if (read_entry(at, end, e))
      return UQ_DONE;
  }
  return fail(s, "cannot read",
              "damaged, or no token store (if it is nothing else, remove it)");
}

static bool same_key(const struct uq_stored_token *a,
                     const struct uq_stored_token *b) {
  return a->key_len == b->key_len && memcmp(a->key, b->key, a->key_len) == 0;
}

enum uq_result uq_token_file_get(struct uq_token_file *s,
                                 struct uq_stored_token *entry, char *token) {
  const char *at = NULL;
  struct uq_buf content;
  struct uq_stored_token e;
  uq_buf_init(&content, FILE_MAX);
  entry->token = NULL;
  enum uq_result result = read_file(s, &content);
  while (result == UQ_DONE) { /* to the end, so that damage is seen */
    result = next_entry(s, &content, &at, &e);
    if (result == UQ_DONE && same_key(&e, entry))
      *entry = e;
  }
  if (result == UQ_NOT && entry->token != NULL) {
    memcpy(token, entry->token, entry->token_len);
    entry->token = token;
    result = UQ_DONE;
  }
  uq_buf_free(&content);
  return result;
}

/* ---- writing ------------------------------------------------------------ */

static enum uq_buf_status append(struct uq_buf *b,
                                 const struct uq_stored_token *e) {
  char line[LINE_SIZE];
  int n = snprintf(line, sizeof line, "%lld\t%.*s\t%.*s\n", (long long)e->end,
                   (int)e->token_len, e->token, (int)e->key_len, e->key);
  enum uq_buf_status status = uq_buf_append(b, line, (size_t)n);
  uq_wipe(line, (size_t)n);
  return status;
}

/* What follows the old content, in an empty buffer. */
static enum uq_result compose(struct uq_token_file *s, const struct uq_buf *old,
                              const struct uq_stored_token *entry,
                              struct uq_buf *fresh) {
  const char *at = NULL;
  struct uq_stored_token e;
  enum uq_result result = UQ_NOT;
  double now = uq_clock_unix();
  enum uq_buf_status status = uq_buf_append(fresh, header, sizeof header - 1);
  if (status == UQ_BUF_OK && entry->token != NULL)
    status = append(fresh, entry);
  while (status == UQ_BUF_OK && old->len > 0 &&
         (result = next_entry(s, old, &at, &e)) == UQ_DONE) {
    if (!same_key(&e, entry) && (e.end == 0 || e.end > now))
      status = append(fresh, &e);
  }
  if (status != UQ_BUF_OK)
    return fail(s, "cannot write",
                status == UQ_BUF_FULL ? "it is full, use several files"
                                      : strerror(ENOMEM));
  return result == UQ_NOT ? UQ_DONE : result;
}

/* Writes all of it to the disk and closes the file. 0, or an errno. */
static int write_all(int fd, const struct uq_buf *b) {
  int error = 0;
  for (size_t done = 0; done < b->len && error == 0;) {
    ssize_t n = write(fd, b->data + done, b->len - done);
    if (n > 0)
      done += (size_t)n;
    else if (n == 0 || errno != EINTR)
      error = n == 0 ? EIO : errno;
  }
  while (error == 0 && fsync(fd) != 0)
    error = errno == EINTR ? 0 : errno;
  if (close(fd) != 0 && error == 0 && errno != EINTR)
    error = errno;
  return error;
}

/* Puts a new file in the place of the old one. */
static enum uq_result replace(struct uq_token_file *s, const struct uq_buf *b) {
  char path[UQ_PATH_SIZE];
  uint64_t number = 0;
  (void)uq_random(&number, sizeof number); /* a name that is taken is refused */
  snprintf(path, sizeof path, "%s.%016llx", s->path,
           (unsigned long long)number);
  int fd = uq_private_file_create(path, s->message);
  if (fd < 0 && s->message[0] == '\0')
    return fail(s, "cannot write", strerror(EEXIST));
  if (fd < 0)
    return UQ_FAILED;
  int error = write_all(fd, b);
  if (error == 0 && rename(path, s->path) != 0)
    error = errno;
  if (error == 0)
    return UQ_DONE;
  unlink(path);
  return fail(s, "cannot write", strerror(error));
}

/* ---- locks -------------------------------------------------------------- */

static enum uq_result lock(struct uq_token_file *s, long byte) {
  char path[UQ_PATH_SIZE];
  snprintf(path, sizeof path, "%s.lock", s->path);
  if (!uq_private_file_folder(path, s->message))
    return UQ_FAILED;
  return uq_lock_file_acquire(path, byte, s->owner, s->message);
}

/* The byte of the lock file for a key: FNV-1a. */
static long key_byte(const char *key, size_t len) {
  uint64_t hash = 0xCBF29CE484222325u;
  for (size_t i = 0; i < len; i++)
    hash = (hash ^ (unsigned char)key[i]) * 0x100000001B3u;
  return FIRST_KEY + (long)(hash % KEY_BYTES);
}

enum uq_result uq_token_file_lock(struct uq_token_file *s, const char *key,
                                  size_t len) {
  return lock(s, key_byte(key, len));
}

void uq_token_file_unlock(const struct uq_token_file *s, const char *key,
                          size_t len) {
  uq_lock_file_release(key_byte(key, len), s->owner);
}

void uq_token_file_unlock_all(const struct uq_token_file *s) {
  uq_lock_file_release(UQ_LOCK_FILE_ALL, s->owner);
}

/* Waits until no other writer is at work. */
static enum uq_result lock_writer(struct uq_token_file *s) {
  static const struct timespec moment = {0, 1000000};
  double limit = uq_clock() + WRITER_WAIT;
  enum uq_result result;
  while ((result = lock(s, WRITER)) == UQ_NOT) {
    if (uq_clock() >= limit)
      return fail(s, "cannot write", "another process is at it for too long");
    nanosleep(&moment, NULL);
  }
  return result;
}

enum uq_result uq_token_file_set(struct uq_token_file *s,
                                 const struct uq_stored_token *entry) {
  struct uq_buf old, fresh;
  enum uq_result result = lock_writer(s);
  if (result != UQ_DONE)
    return result;
  uq_buf_init(&old, FILE_MAX);
  uq_buf_init(&fresh, FILE_MAX);
  result = read_file(s, &old);
  if (result != UQ_FAILED)
    result = compose(s, &old, entry, &fresh);
  if (result == UQ_DONE)
    result = replace(s, &fresh);
  uq_buf_free(&old);
  uq_buf_free(&fresh);
  uq_lock_file_release(WRITER, s->owner);
  return result;
}
