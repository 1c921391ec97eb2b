/*
** buf.c - see buf.h.
** SPDX-License-Identifier: MIT
*/
#include "engine/base/buf.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAP 1024 /* bytes: the headers of a request, or a response */

void uq_wipe(void *bytes, size_t n) {
  if (n == 0)
    return;
  memset(bytes, 0, n);
  /* the compiler must assume that the zeros are read */
  __asm__ __volatile__("" : : "r"(bytes) : "memory");
}

void uq_buf_init(struct uq_buf *b, size_t max) {
  b->data = NULL;
  b->len = b->cap = 0;
  b->max = max;
}

/* Moves the content to a block of cap bytes. realloc could leave a copy of a
** token behind that is not wiped. */
static enum uq_buf_status grow_to(struct uq_buf *b, size_t cap) {
  char *data = malloc(cap);
  if (data == NULL)
    return UQ_BUF_NOMEM;
  if (b->data != NULL) {
    memcpy(data, b->data, b->len + 1);
    uq_wipe(b->data, b->len);
    free(b->data);
  }
  b->data = data;
  b->cap = cap;
  return UQ_BUF_OK;
}

enum uq_buf_status uq_buf_append(struct uq_buf *b, const void *bytes,
                                 size_t n) {
  if (n > b->max - b->len)
    return UQ_BUF_FULL;
  if (n >= b->cap - b->len || b->cap == 0) {
    size_t need = b->len + n + 1;
    size_t cap = b->cap * 2 > FIRST_CAP ? b->cap * 2 : FIRST_CAP;
    if (grow_to(b, cap > need ? cap : need) != UQ_BUF_OK)
      return UQ_BUF_NOMEM;
  }
  if (n > 0)
    memcpy(b->data + b->len, bytes, n);
  b->len += n;
  b->data[b->len] = '\0';
  return UQ_BUF_OK;
}

void uq_buf_clear(struct uq_buf *b) {
  uq_wipe(b->data, b->len);
  b->len = 0;
}

void uq_buf_free(struct uq_buf *b) {
  char *data = b->data;
  size_t len = b->len;
  b->data = NULL;
  b->len = b->cap = 0;
  uq_wipe(data, len);
  free(data);
}
