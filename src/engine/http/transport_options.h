/*
** transport_options.h - how a transport reaches its server.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_HTTP_TRANSPORT_OPTIONS_H
#define UQ_HTTP_TRANSPORT_OPTIONS_H

/* AUTO: 1.1 until the first request that may have others beside it, then 2. */
enum uq_http_version { UQ_HTTP_AUTO, UQ_HTTP_1_1, UQ_HTTP_2 };

/* The strings are borrowed and must outlive the transport. NULL: not given. */
struct uq_transport_options {
  const char *ca_file;
  const char *ca_path;
  const char *pinned_public_key; /* "sha256//<base64>[;...]" */
  const char *proxy;             /* "": none, whatever the environment says */
  enum uq_http_version http_version;
  void (*done)(void *owner); /* called with the owner of each transfer that is
                                finished; it must not call the transport */
};

#endif
