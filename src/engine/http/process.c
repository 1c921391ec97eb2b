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

#define ENOUGH 4 /* descriptors for a name look-up, or a connection */

static pthread_once_t global_once = PTHREAD_ONCE_INIT;
static bool global_ready;
static unsigned generation;

static volatile char *mark; /* NULL: it cannot be had */

static void after_fork(void) { generation++; }

/* Of some forks nobody tells after_fork, of clone(2) by itself for one: a page
** that the system empties in a child does. */
static void set_mark(void) {
#if defined(MADV_WIPEONFORK)
  char *page =
      mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page != MAP_FAILED && madvise(page, 1, MADV_WIPEONFORK) == 0) {
    *page = 1;
    mark = page;
  }
#endif
}

/* Once per process and never undone. The module is pinned in memory: resolver
** threads of libcurl may outlive the Lua state that closes it. */
static void global_init(void) {
  Dl_info self;
  set_mark();
  global_ready = pthread_atfork(NULL, NULL, after_fork) == 0 &&
                 curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
  if (dladdr((void *)&global_once, &self) != 0 && self.dli_fname != NULL)
    (void)dlopen(self.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
}

bool uq_process_init(void) {
  pthread_once(&global_once, global_init);
  return global_ready;
}

/* Threads that begin together in a child may count it twice, which the first
** client of it pays for with a refusal. */
unsigned uq_process_generation(void) {
  if (mark != NULL && *mark == 0) {
    generation++;
    *mark = 1;
  }
  return generation;
}

int uq_process_lack(void) {
  int fds[ENOUGH], n = 0, error = 0;
  int kind = SOCK_DGRAM;
#if defined(SOCK_CLOEXEC)
  kind |= SOCK_CLOEXEC;
#endif
  while (n < ENOUGH && error == 0) {
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
