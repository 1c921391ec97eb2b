/*
** process.h - what belongs to the process, not to one client: curl's global
** state, and SIGPIPE, which is held back while curl runs, since with NOSIGNAL
** curl no longer does so itself. The disposition is never changed. Knows no
** Lua.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_HTTP_PROCESS_H
#define UQ_HTTP_PROCESS_H

#include <signal.h>
#include <stdbool.h>

#pragma GCC visibility push(hidden)

/* Sets curl up, once. False: it cannot be. */
bool uq_process_init(void);

/* Grows from a process that has set curl up to its children. */
unsigned uq_process_generation(void);

/* The errno that says that next to no descriptors are left; 0: there are enough
** for a name look-up or a connection. */
int uq_process_lack(void);

struct uq_sigpipe {
  sigset_t before;
  bool pending; /* it was pending already: then it is not ours to drain */
};

/* Blocks SIGPIPE for this thread. */
void uq_sigpipe_hold(struct uq_sigpipe *g);

/* Takes a SIGPIPE that came meanwhile out of the world, and unblocks. */
void uq_sigpipe_release(const struct uq_sigpipe *g);

#pragma GCC visibility pop

#endif
