/*
** private_file.h - files that are this user's alone: opened and made so that a
** secret in them stays one. Knows no Lua and no curl.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_STORE_PRIVATE_FILE_H
#define UQ_STORE_PRIVATE_FILE_H

#include <stdbool.h>

#pragma GCC visibility push(hidden)

/* What came of it. */
enum uq_result {
  UQ_DONE,
  UQ_NOT,   /* no failure: it is not there, or somebody else has it */
  UQ_FAILED /* the message says why */
};

#define UQ_PATH_MAX 1024                    /* bytes of a path */
#define UQ_PATH_SIZE (UQ_PATH_MAX + 32)     /* with a suffix and its NUL */
#define UQ_MESSAGE_SIZE (UQ_PATH_SIZE + 96) /* of each buffer for a message */

/* True if only this user and root can replace files in the folder of path: it
** belongs to one of them, and others cannot write there, or it is sticky.
** False: sets message. */
bool uq_private_file_folder(const char *path, char *message);

/* Opens a file that must be regular, the effective user's, and closed to all
** others; never through a symbolic link. -1: message says why not, and is ""
** if there is no such file. */
int uq_private_file_open(const char *path, int flags, char *message);

/* Makes a file of mode 0600, whatever the umask, open for writing. -1: message
** says why not, and is "" if there is such a file already. */
int uq_private_file_create(const char *path, char *message);

#pragma GCC visibility pop

#endif
