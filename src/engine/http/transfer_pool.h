/*
** transfer_pool.h - makes transfers, with their easy handles and what libcurl
** calls back for each, and keeps some for later requests.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_HTTP_TRANSFER_POOL_H
#define UQ_HTTP_TRANSFER_POOL_H

#include <stdbool.h>

#pragma GCC visibility push(hidden)

struct uq_transport;
struct uq_transfer;

/* A transfer with empty buffers. NULL: out of memory. */
struct uq_transfer *uq_transfer_pool_get(struct uq_transport *t);

/* Takes back one that is not in the multi handle. It is freed if it is not
** reusable, or if enough are kept. Wipes its buffers. */
void uq_transfer_pool_put(struct uq_transfer *x, bool reusable);

/* Frees those that are kept. */
void uq_transfer_pool_free(struct uq_transport *t);

#pragma GCC visibility pop

#endif
