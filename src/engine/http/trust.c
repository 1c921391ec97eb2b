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

/* True if the directory has certificates named by their hashes, as by OpenSSL's
** rehash: "5ed36f99.0". https://docs.openssl.org/3.0/man1/openssl-rehash/ */
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
** Those of the options; without any, one of the two places of libcurl's
** default. With both, OpenSSL reads the whole bundle for each new connection,
** which takes some 30 ms of CPU; a directory with hashed names costs hardly
** anything.
*/
struct uq_trust uq_trust_choose(const struct uq_transport_options *o) {
  struct uq_trust t = {o->ca_file, o->ca_path, false};
  if (t.file != NULL || t.path != NULL)
    return t;
  const curl_version_info_data *v = curl_version_info(CURLVERSION_NOW);
  t.is_default = v->age < CURLVERSION_SEVENTH || v->ssl_version == NULL ||
                 strstr(v->ssl_version, "OpenSSL") == NULL ||
                 v->capath == NULL || v->cainfo == NULL;
  if (!t.is_default && is_hashed_dir(v->capath))
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

/* True if the first line of a certificate is in the text. */
static bool has_certificate(const char *text) {
  return strstr(text, "-----BEGIN CERTIFICATE-----") != NULL ||
         strstr(text, "-----BEGIN TRUSTED CERTIFICATE-----") != NULL ||
         strstr(text, "-----BEGIN X509 CERTIFICATE-----") != NULL;
}

/* Looks for a certificate in an open file. 1: found; 0: not; -1: see errno. */
static int search_certificate(int fd) {
  enum { KEPT = 64, PIECE = 8192 }; /* a line may be in two pieces */
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

/* What is wrong with an open file. NULL: nothing, or *error is its errno. */
static const char *find_file_fault(int fd, int *error) {
  struct stat st;
  *error = fstat(fd, &st) != 0 ? errno : S_ISDIR(st.st_mode) ? EISDIR : 0;
  if (*error != 0)
    return NULL;
  if (!S_ISREG(st.st_mode))
    return "is not a regular file";
  if (st.st_size == 0)
    return "is empty";
  int found = search_certificate(fd);
  if (found < 0)
    *error = errno;
  return found == 0 ? "no certificate in it (PEM expected)" : NULL;
}

const char *uq_trust_fault(const char *path, bool directory, int *error) {
  const char *wrong = NULL;
  *error = 0;
  if (directory) {
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
      wrong = find_file_fault(fd, error);
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
