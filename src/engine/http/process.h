/*
** process.h - what belongs to the process, not to one client: curl's global
** state, forks, descriptors, and SIGPIPE. SIGPIPE is blocked while curl runs,
** since with CURLOPT_NOSIGNAL curl does not do so itself; its disposition is
** never changed. Knows no Lua.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_HTTP_PROCESS_H
#define UQ_HTTP_PROCESS_H

#include <signal.h>
#include <stdbool.h>

#pragma GCC visibility push(hidden)

/* Sets curl up, once. False: that has failed. */
bool uq_process_init(void);

/* A number that is greater in the children of a process that has set curl up.
 */
unsigned uq_process_generation(void);

/* An errno, if hardly any descriptors are left; 0: there are enough for a name
** look-up or a connection. */
int uq_process_lack(void);

struct uq_sigpipe {
  sigset_t before;
  bool pending; /* it was pending before: then it is not consumed */
};

/* Blocks SIGPIPE for this thread. */
void uq_sigpipe_hold(struct uq_sigpipe *g);

/* Consumes a SIGPIPE raised since then, and unblocks it. */
void uq_sigpipe_release(const struct uq_sigpipe *g);

#pragma GCC visibility pop

#endif
