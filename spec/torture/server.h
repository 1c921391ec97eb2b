/*
** server.h - the API's other end for the torture: a process of its own that
** answers each request by the first word of its path. For the torture only.
** SPDX-License-Identifier: MIT
*/
#ifndef TORTURE_SERVER_H
#define TORTURE_SERVER_H

/* Starts the server on a free port of loopback, which is returned. It ends with
** the process that has started it. */
int server_start(void);

#endif
