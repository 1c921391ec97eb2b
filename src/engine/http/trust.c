/*
** trust.c - see trust.h.
** SPDX-License-Identifier: MIT
*/
#define _GNU_SOURCE          /* O_CLOEXEC */
#define _FILE_OFFSET_BITS 64 /* large inode numbers, too */
#include "engine/http/trust.h"

#include <curl/curl.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* True if the folder holds certificates under their hashes, as OpenSSL's rehash
** leaves them ("5ed36f99.0"). */
static bool is_hashed_dir(const char *path) {
  DIR *dir = opendir(path);
  bool found = false;
  struct dirent *entry;
  if (dir == NULL)
    return false;
  while (!found && (entry = readdir(dir)) != NULL)
    found = strlen(entry->d_name) == 10 && entry->d_name[8] == '.' &&
            strspn(entry->d_name, "0123456789abcdef") == 8;
  closedir(dir);
  return found;
}

/*
** Those of the options only; else libcurl's default, but only one of its two
** places. With both, OpenSSL reads the whole bundle at every new connection,
** some 30 ms of CPU; the hashed folder costs next to nothing.
*/
struct uq_trust uq_trust_choose(const struct uq_transport_options *o) {
  struct uq_trust t = {o->ca_file, o->ca_path, false};
  if (t.file != NULL || t.path != NULL)
    return t;
  const curl_version_info_data *v = curl_version_info(CURLVERSION_NOW);
  t.leave = v->age < CURLVERSION_SEVENTH || v->ssl_version == NULL ||
            strstr(v->ssl_version, "OpenSSL") == NULL || v->capath == NULL ||
            v->cainfo == NULL;
  if (!t.leave && is_hashed_dir(v->capath))
    t.path = v->capath;
  else if (v->age >= CURLVERSION_SEVENTH)
    t.file = v->cainfo;
  return t;
}

static int open_file(const char *path) {
  int fd;
  do /* NONBLOCK: opening a FIFO would wait for its other end */
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  while (fd < 0 && errno == EINTR);
  return fd;
}

/* True if the text has the first line of a certificate in it. */
static bool has_certificate(const char *text) {
  return strstr(text, "-----BEGIN CERTIFICATE-----") != NULL ||
         strstr(text, "-----BEGIN TRUSTED CERTIFICATE-----") != NULL ||
         strstr(text, "-----BEGIN X509 CERTIFICATE-----") != NULL;
}

/* Looks for a certificate in an open file: 1: found, 0: not, -1: see errno. */
static int search(int fd) {
  enum { KEPT = 64, PIECE = 8192 }; /* a first line may be cut in two */
  char text[KEPT + PIECE + 1];
  size_t kept = 0;
  for (;;) {
    ssize_t n = read(fd, text + kept, PIECE);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return (int)n;
    size_t len = kept + (size_t)n;
    for (size_t i = kept; i < len; i++) {
      if (text[i] == '\0') /* else strstr would end there */
        text[i] = ' ';
    }
    text[len] = '\0';
    if (has_certificate(text))
      return 1;
    kept = len < KEPT ? len : KEPT;
    memmove(text, text + len - kept, kept);
  }
}

/* What is wrong with an open file; NULL: nothing, or see errno if *error. */
static const char *fault(int fd, int *error) {
  struct stat st;
  *error = fstat(fd, &st) != 0 ? errno : S_ISDIR(st.st_mode) ? EISDIR : 0;
  if (*error != 0)
    return NULL;
  if (!S_ISREG(st.st_mode))
    return "is not a regular file";
  if (st.st_size == 0)
    return "is empty";
  int found = search(fd);
  if (found < 0)
    *error = errno;
  return found == 0 ? "no certificate in it (PEM expected)" : NULL;
}

const char *uq_trust_fault(const char *path, bool folder, int *error) {
  const char *wrong = NULL;
  *error = 0;
  if (folder) {
    DIR *dir = opendir(path);
    if (dir == NULL)
      *error = errno;
    else
      closedir(dir);
  } else {
    int fd = open_file(path);
    if (fd < 0) {
      *error = errno;
    } else {
      wrong = fault(fd, error);
      close(fd);
    }
  }
  return *error != 0 ? strerror(*error) : wrong;
}

const char *uq_trust_chosen_fault(const struct uq_transport_options *o,
                                  const char **path, int *error) {
  struct uq_trust t = uq_trust_choose(o);
  const char *wrong = NULL;
  *error = 0;
  *path = t.file;
  if (t.file != NULL)
    wrong = uq_trust_fault(t.file, false, error);
  if (wrong == NULL && t.path != NULL) {
    *path = t.path;
    wrong = uq_trust_fault(t.path, true, error);
  }
  return wrong;
}
