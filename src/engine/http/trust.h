/*
** trust.h - CA certificates: which file and folder are used, and what is wrong
** with them. Knows no Lua.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_HTTP_TRUST_H
#define UQ_HTTP_TRUST_H

#include <stdbool.h>

#include "engine/http/transport.h"

#pragma GCC visibility push(hidden)

/* Why no certificates can be read from this file (PEM) or folder, for people;
** *error is an errno then, or 0. NULL: they can, as far as can be told without
** a TLS library. */
const char *uq_trust_fault(const char *path, bool folder, int *error);

struct uq_trust {
  const char *file, *path; /* NULL: none */
  bool leave;              /* libcurl's own, both: nothing need be set */
};

/* Which CA certificates the options stand for. */
struct uq_trust uq_trust_choose(const struct uq_transport_options *o);

/* The same as uq_trust_fault of what uq_trust_choose gives; *path is the one
** that it is about. */
const char *uq_trust_chosen_fault(const struct uq_transport_options *o,
                                  const char **path, int *error);

#pragma GCC visibility pop

#endif
