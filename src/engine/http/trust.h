/*
** trust.h - CA certificates: which file and directory are used, and what is
** wrong with them. Knows no Lua.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_HTTP_TRUST_H
#define UQ_HTTP_TRUST_H

#include <stdbool.h>

#include "engine/http/transport_options.h"

#pragma GCC visibility push(hidden)

/* Why no certificates can be read from this file (PEM) or directory, for
** people; then *error is an errno, or 0. NULL: they can be, as far as that is
** known without a TLS library. */
const char *uq_trust_fault(const char *path, bool directory, int *error);

struct uq_trust {
  const char *file, *path; /* NULL: none */
  bool is_default;         /* libcurl's own, both: nothing need be set */
};

/* Which CA certificates are used with these options. */
struct uq_trust uq_trust_choose(const struct uq_transport_options *o);

/* uq_trust_fault of what uq_trust_choose gives; *path is the faulty one, or the
** last one that was looked at; NULL: none. */
const char *uq_trust_chosen_fault(const struct uq_transport_options *o,
                                  const char **path, int *error);

#pragma GCC visibility pop

#endif
