/*
** private_file.h - files that only this user can read or replace, for secrets.
** Knows no Lua and no curl.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_STORE_PRIVATE_FILE_H
#define UQ_STORE_PRIVATE_FILE_H

#include <stdbool.h>

#pragma GCC visibility push(hidden)

#define UQ_PATH_MAX 1024                    /* bytes of a path */
#define UQ_PATH_SIZE (UQ_PATH_MAX + 32)     /* with a suffix and its NUL */
#define UQ_MESSAGE_SIZE (UQ_PATH_SIZE + 96) /* of each buffer for a message */

/* True if only this user and root can replace files in the folder of path: it
** belongs to one of them, and others cannot write there, or it is sticky.
** False: sets message. */
bool uq_private_file_folder(const char *path, char *message);

/* Opens a file, which must be regular, the effective user's and inaccessible
** to all others; never through a symbolic link. -1: message says why not, and
** is "" if the file does not exist. */
int uq_private_file_open(const char *path, int flags, char *message);

/* Creates a file of mode 0600, whatever the umask, open for writing. -1:
** message says why not, and is "" if the file exists already. */
int uq_private_file_create(const char *path, char *message);

#pragma GCC visibility pop

#endif
