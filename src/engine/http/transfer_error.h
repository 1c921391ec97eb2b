/*
** transfer_error.h - what a finished transfer is reported as, where libcurl's
** result does not say it all.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_HTTP_TRANSFER_ERROR_H
#define UQ_HTTP_TRANSFER_ERROR_H

#pragma GCC visibility push(hidden)

struct uq_transfer;
struct uq_response;

extern const char uq_body_too_large[];

/* Sets kind, outcome_unknown, never_sent, the error codes and the message of
** the response to a finished transfer. Its status and headers are there. */
void uq_transfer_error(const struct uq_transfer *x, struct uq_response *r);

#pragma GCC visibility pop

#endif
