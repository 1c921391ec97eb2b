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
#define FIRST_KEY 1L         /* the first of those that keys lock */
#define KEY_BYTES 0x3FFFFFFF /* their number: off_t may have 32 bits */
#define WRITER_WAIT 5.0      /* seconds: writing takes a few milliseconds */

static const char header[] = "# access tokens of uqpay, version 1\n";

bool uq_token_file_takes(const char *text, size_t len, size_t max) {
  return len > 0 && len <= max && !uq_has_control(text, len);
}

static enum uq_store_status set_failure(struct uq_token_file *s,
                                        const char *what, const char *why) {
  snprintf(s->message, sizeof s->message, "%s %s: %s", what, s->path, why);
  return UQ_STORE_ERROR;
}

/* ---- reading ------------------------------------------------------------ */

/* On UQ_BUF_NOMEM errno says why. */
static enum uq_buf_status read_to_end(int fd, struct uq_buf *content) {
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
static enum uq_store_status read_file(struct uq_token_file *s,
                                      struct uq_buf *content) {
  if (!uq_private_file_folder(s->path, s->message))
    return UQ_STORE_ERROR;
  int fd = uq_private_file_open(s->path, O_RDONLY, s->message);
  if (fd < 0)
    return s->message[0] == '\0' ? UQ_STORE_ABSENT : UQ_STORE_ERROR;
  enum uq_buf_status result = read_to_end(fd, content);
  int error = result == UQ_BUF_FULL ? EFBIG : errno;
  close(fd);
  if (result != UQ_BUF_OK)
    return set_failure(s, "cannot read", strerror(error));
  return content->len == 0 ? UQ_STORE_ABSENT : UQ_STORE_OK;
}

/* Reads the entry at *at and moves *at behind it. False: malformed. */
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
** first. UQ_STORE_ABSENT: there are no more. */
static enum uq_store_status next_entry(struct uq_token_file *s,
                                       const struct uq_buf *content,
                                       const char **at,
                                       struct uq_stored_token *e) {
  const char *end = content->data + content->len;
  const size_t len = sizeof header - 1;
  bool first = *at == NULL;
  if (first)
    *at = content->data + len;
  if (!first ||
      (content->len >= len && memcmp(content->data, header, len) == 0)) {
    if (*at == end)
      return UQ_STORE_ABSENT;
    if (read_entry(at, end, e))
      return UQ_STORE_OK;
  }
  return set_failure(
      s, "cannot read",
      "damaged, or no token store (if it is nothing else, remove it)");
}

static bool same_key(const struct uq_stored_token *a,
                     const struct uq_stored_token *b) {
  return a->key_len == b->key_len && memcmp(a->key, b->key, a->key_len) == 0;
}

enum uq_store_status uq_token_file_get(struct uq_token_file *s,
                                       struct uq_stored_token *entry,
                                       char *token) {
  const char *at = NULL;
  struct uq_buf content;
  struct uq_stored_token e;
  uq_buf_init(&content, FILE_MAX);
  entry->token = NULL;
  enum uq_store_status status = read_file(s, &content);
  while (status == UQ_STORE_OK) { /* to the end, to detect damage */
    status = next_entry(s, &content, &at, &e);
    if (status == UQ_STORE_OK && same_key(&e, entry))
      *entry = e;
  }
  if (status == UQ_STORE_ABSENT && entry->token != NULL) {
    memcpy(token, entry->token, entry->token_len);
    entry->token = token;
    status = UQ_STORE_OK;
  }
  uq_buf_free(&content);
  return status;
}

/* ---- writing ------------------------------------------------------------ */

static enum uq_buf_status append_entry(struct uq_buf *b,
                                       const struct uq_stored_token *e) {
  char line[LINE_SIZE];
  int n = snprintf(line, sizeof line, "%lld\t%.*s\t%.*s\n", (long long)e->end,
                   (int)e->token_len, e->token, (int)e->key_len, e->key);
  enum uq_buf_status status = uq_buf_append(b, line, (size_t)n);
  uq_wipe(line, (size_t)n);
  return status;
}

/* Writes the new content to an empty buffer: the entry, and the old ones that
** are still valid. */
static enum uq_store_status compose(struct uq_token_file *s,
                                    const struct uq_buf *old,
                                    const struct uq_stored_token *entry,
                                    struct uq_buf *fresh) {
  const char *at = NULL;
  struct uq_stored_token e;
  enum uq_store_status next = UQ_STORE_ABSENT;
  double now = uq_clock_unix();
  enum uq_buf_status status = uq_buf_append(fresh, header, sizeof header - 1);
  if (status == UQ_BUF_OK && entry->token != NULL)
    status = append_entry(fresh, entry);
  while (status == UQ_BUF_OK && old->len > 0 &&
         (next = next_entry(s, old, &at, &e)) == UQ_STORE_OK) {
    if (!same_key(&e, entry) && (e.end == 0 || e.end > now))
      status = append_entry(fresh, &e);
  }
  if (status != UQ_BUF_OK)
    return set_failure(s, "cannot write",
                       status == UQ_BUF_FULL ? "it is full, use several files"
                                             : strerror(ENOMEM));
  return next == UQ_STORE_ABSENT ? UQ_STORE_OK : next;
}

/* 0, or an errno. */
static int write_bytes(int fd, const char *bytes, size_t len) {
  while (len > 0) {
    ssize_t n = write(fd, bytes, len);
    if (n == 0)
      return EIO;
    if (n < 0 && errno != EINTR)
      return errno;
    if (n > 0) {
      bytes += n;
      len -= (size_t)n;
    }
  }
  return 0;
}

/* 0, or an errno. */
static int sync_to_disk(int fd) {
  while (fsync(fd) != 0) {
    if (errno != EINTR)
      return errno;
  }
  return 0;
}

/* Writes the content to the disk and closes the file. 0, or an errno. */
static int write_and_close(int fd, const struct uq_buf *b) {
  int error = write_bytes(fd, b->data, b->len);
  if (error == 0)
    error = sync_to_disk(fd);
  if (close(fd) != 0 && error == 0 && errno != EINTR)
    error = errno;
  return error;
}

/* Replaces the file by a new one. */
static enum uq_store_status replace_file(struct uq_token_file *s,
                                         const struct uq_buf *b) {
  char path[UQ_PATH_SIZE];
  uint64_t number = 0;
  (void)uq_random(&number, sizeof number); /* an existing file is an error */
  snprintf(path, sizeof path, "%s.%016llx", s->path,
           (unsigned long long)number);
  int fd = uq_private_file_create(path, s->message);
  if (fd < 0 && s->message[0] == '\0')
    return set_failure(s, "cannot write", strerror(EEXIST));
  if (fd < 0)
    return UQ_STORE_ERROR;
  int error = write_and_close(fd, b);
  if (error == 0 && rename(path, s->path) != 0)
    error = errno;
  if (error == 0)
    return UQ_STORE_OK;
  unlink(path);
  return set_failure(s, "cannot write", strerror(error));
}

/* ---- locks -------------------------------------------------------------- */

static enum uq_lock_status lock_byte(struct uq_token_file *s, long byte) {
  char path[UQ_PATH_SIZE];
  snprintf(path, sizeof path, "%s.lock", s->path);
  if (!uq_private_file_folder(path, s->message))
    return UQ_LOCK_ERROR;
  return uq_lock_file_acquire(path, byte, s->owner, s->message);
}

/* The byte of the lock file for a key: FNV-1a. */
static long key_byte(const char *key, size_t len) {
  uint64_t hash = 0xCBF29CE484222325u;
  for (size_t i = 0; i < len; i++)
    hash = (hash ^ (unsigned char)key[i]) * 0x100000001B3u;
  return FIRST_KEY + (long)(hash % KEY_BYTES);
}

enum uq_lock_status uq_token_file_lock(struct uq_token_file *s, const char *key,
                                       size_t len) {
  return lock_byte(s, key_byte(key, len));
}

void uq_token_file_unlock(const struct uq_token_file *s, const char *key,
                          size_t len) {
  uq_lock_file_release(key_byte(key, len), s->owner);
}

void uq_token_file_unlock_all(const struct uq_token_file *s) {
  uq_lock_file_release(UQ_LOCK_FILE_ALL, s->owner);
}

/* Waits until no other writer is at work. False: sets the message. */
static bool lock_writer(struct uq_token_file *s) {
  static const struct timespec pause = {0, 1000000};
  double limit = uq_clock() + WRITER_WAIT;
  enum uq_lock_status status;
  while ((status = lock_byte(s, WRITER)) == UQ_LOCK_BUSY) {
    if (uq_clock() >= limit) {
      set_failure(s, "cannot write",
                  "another process has been writing for too long");
      return false;
    }
    nanosleep(&pause, NULL);
  }
  return status == UQ_LOCK_OK;
}

enum uq_store_status uq_token_file_set(struct uq_token_file *s,
                                       const struct uq_stored_token *entry) {
  struct uq_buf old, fresh;
  if (!lock_writer(s))
    return UQ_STORE_ERROR;
  uq_buf_init(&old, FILE_MAX);
  uq_buf_init(&fresh, FILE_MAX);
  enum uq_store_status status = read_file(s, &old);
  if (status != UQ_STORE_ERROR)
    status = compose(s, &old, entry, &fresh);
  if (status == UQ_STORE_OK)
    status = replace_file(s, &fresh);
  uq_buf_free(&old);
  uq_buf_free(&fresh);
  uq_lock_file_release(WRITER, s->owner);
  return status;
}
