/*
** error_kind.h - the closed set of error kinds, shared by the engine and the
** binding. Users branch on the names, so a name is never changed or reused.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_BASE_ERROR_KIND_H
#define UQ_BASE_ERROR_KIND_H

#define UQ_KINDS(X)                     \
  X(INVALID_REQUEST, "invalid_request") \
  X(AUTH, "auth")                       \
  X(PERMISSION, "permission")           \
  X(NOT_FOUND, "not_found")             \
  X(CONFLICT, "conflict")               \
  X(IDEMPOTENCY, "idempotency")         \
  X(RATE_LIMIT, "rate_limit")           \
  X(API, "api")                         \
  X(CONNECT, "connect")                 \
  X(DNS, "dns")                         \
  X(TLS, "tls")                         \
  X(TIMEOUT, "timeout")                 \
  X(CANCELED, "canceled")               \
  X(PROTOCOL, "protocol")               \
  X(TOO_LARGE, "too_large")             \
  X(DECODE, "decode")                   \
  X(SCHEMA, "schema")                   \
  X(CONFIG, "config")                   \
  X(MEMORY, "memory")                   \
  X(FORKED, "forked")

enum uq_kind {
  UQ_OK = 0,
#define UQ_KIND_ENUM(id, name) UQ_##id,
  UQ_KINDS(UQ_KIND_ENUM)
#undef UQ_KIND_ENUM
};

#endif
