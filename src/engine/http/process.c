/*
** process.c - see process.h.
** SPDX-License-Identifier: MIT
*/
#define _GNU_SOURCE /* dladdr, RTLD_NOLOAD, RTLD_NODELETE */
#include "engine/http/process.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define FREE_NEEDED 4 /* descriptors for a name look-up, or a connection */

static pthread_once_t global_once = PTHREAD_ONCE_INIT;
static bool global_ready;
static unsigned generation;

static volatile char *fork_mark; /* 0 in a child that was not counted yet; NULL:
                                    not supported */

static void after_fork(void) { generation++; }

/* README.md (Security, Forks) says that a raw clone(2) is detected on Linux.
** pthread_atfork does not see it; the kernel wipes this page in each child.
** madvise(2), MADV_WIPEONFORK. */
static void set_fork_mark(void) {
#if defined(MADV_WIPEONFORK)
  char *page =
      mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page != MAP_FAILED && madvise(page, 1, MADV_WIPEONFORK) == 0) {
    *page = 1;
    fork_mark = page;
  }
#endif
}

/* Once a process, and never undone. The module is pinned in memory, as resolver
** threads of libcurl may outlive the Lua state that has loaded it. */
static void global_init(void) {
  Dl_info self;
  set_fork_mark();
  global_ready = pthread_atfork(NULL, NULL, after_fork) == 0 &&
                 curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
  if (dladdr((void *)&global_once, &self) != 0 && self.dli_fname != NULL)
    (void)dlopen(self.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
}

bool uq_process_init(void) {
  pthread_once(&global_once, global_init);
  return global_ready;
}

/* Two threads that call this at the same time in a child may count it twice: a
** client made in between is refused as forked, wrongly but safely. */
unsigned uq_process_generation(void) {
  if (fork_mark != NULL && *fork_mark == 0) {
    generation++;
    *fork_mark = 1;
  }
  return generation;
}

int uq_process_lack(void) {
  int fds[FREE_NEEDED], n = 0, error = 0;
  int kind = SOCK_DGRAM;
#if defined(SOCK_CLOEXEC)
  kind |= SOCK_CLOEXEC;
#endif
  while (n < FREE_NEEDED && error == 0) {
    fds[n] = socket(AF_UNIX, kind, 0);
    if (fds[n] >= 0)
      n++;
    else
      error = errno;
  }
  while (n > 0)
    close(fds[--n]);
  return error == EMFILE || error == ENFILE ? error : 0;
}

void uq_sigpipe_hold(struct uq_sigpipe *g) {
  sigset_t pipe_set, pending;
  sigemptyset(&pipe_set);
  sigaddset(&pipe_set, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe_set, &g->before);
  g->pending = false;
  if (sigismember(&g->before, SIGPIPE) != 1)
    return; /* it was not blocked, so it could not be pending */
  sigemptyset(&pending);
  sigpending(&pending);
  g->pending = sigismember(&pending, SIGPIPE) == 1;
}

void uq_sigpipe_release(const struct uq_sigpipe *g) {
  sigset_t pending;
  sigemptyset(&pending);
  sigpending(&pending);
  if (!g->pending && sigismember(&pending, SIGPIPE) == 1) {
    sigset_t pipe_set;
    int signal_number;
    sigemptyset(&pipe_set);
    sigaddset(&pipe_set, SIGPIPE);
    sigwait(&pipe_set, &signal_number);
  }
  pthread_sigmask(SIG_SETMASK, &g->before, NULL);
}
