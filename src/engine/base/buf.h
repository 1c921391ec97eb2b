/*
** buf.h - a growable byte buffer with a maximum size. Knows no Lua and no
** curl. A NUL that len does not count follows the bytes. They are wiped before
** their memory is freed: buffers hold tokens.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_BASE_BUF_H
#define UQ_BASE_BUF_H

#include <stddef.h>

#pragma GCC visibility push(hidden)

enum uq_buf_status { UQ_BUF_OK, UQ_BUF_FULL, UQ_BUF_NOMEM };

struct uq_buf {
  char *data; /* NULL until the first byte */
  size_t len;
  size_t cap; /* bytes allocated, the NUL's included */
  size_t max; /* len never exceeds this */
};

/* Makes an empty buffer for at most max bytes. Allocates nothing. */
void uq_buf_init(struct uq_buf *b, size_t max);

/* Appends n bytes. On failure the buffer is unchanged. */
enum uq_buf_status uq_buf_append(struct uq_buf *b, const void *bytes, size_t n);

/* Wipes the content and keeps the memory. */
void uq_buf_clear(struct uq_buf *b);

/* Wipes the content and frees the memory; b is an empty buffer again. */
void uq_buf_free(struct uq_buf *b);

/* Overwrites n bytes with zeros; never optimised away. */
void uq_wipe(void *bytes, size_t n);

#pragma GCC visibility pop

#endif
