/*
** process.c - see process.h.
** SPDX-License-Identifier: MIT
*/
#define _GNU_SOURCE /* dladdr, RTLD_NOLOAD, RTLD_NODELETE */
#include "process.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <pthread.h>

static pthread_once_t global_once = PTHREAD_ONCE_INIT;
static bool global_ready;
static unsigned generation;

static void after_fork(void) { generation++; }

/* Once per process and never undone. The module is pinned in memory: resolver
** threads of libcurl may outlive the Lua state that closes it. */
static void global_init(void) {
  Dl_info self;
  global_ready = pthread_atfork(NULL, NULL, after_fork) == 0 &&
                 curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
  if (dladdr((void *)&global_once, &self) != 0 && self.dli_fname != NULL)
    (void)dlopen(self.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
}

bool uq_process_init(void) {
  pthread_once(&global_once, global_init);
  return global_ready;
}

unsigned uq_process_generation(void) { return generation; }

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
