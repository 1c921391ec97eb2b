/*
** threads.c - many threads with a Lua state each, at once: the first `require`
** is a race, each then makes its calls, and closes its state. In a last round
** the states are closed with calls in flight whose resolver threads go on.
**
**   threads THREADS ROUNDS CODE LAST
**
** CODE is run by each state in each round, LAST in the last one. Prints how
** many states came to a good end.
** SPDX-License-Identifier: MIT
*/
#define _GNU_SOURCE /* pthread_barrier_t */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MAX 256

static pthread_barrier_t barrier;
static const char *code;

/* NULL, or a message to be freed. */
static void *run(void *unused) {
  (void)unused;
  char *failure = NULL;
  (void)pthread_barrier_wait(&barrier);
  lua_State *L = luaL_newstate();
  if (L == NULL)
    abort();
  luaL_openlibs(L);
  if (luaL_dostring(L, code) &&
      asprintf(&failure, "%s", lua_tostring(L, -1)) < 0)
    abort();
  lua_close(L);
  return failure;
}

static int round_of(int count) {
  pthread_t threads[MAX];
  int failed = 0;
  for (int i = 0; i < count; i++) {
    if (pthread_create(&threads[i], NULL, run, NULL) != 0)
      abort();
  }
  for (int i = 0; i < count; i++) {
    void *failure;
    pthread_join(threads[i], &failure);
    if (failure != NULL) {
      printf("FAILED: %s\n", (char *)failure);
      failed++;
    }
    free(failure);
  }
  return failed;
}

int main(int argc, char **argv) {
  if (argc != 5)
    return 2;
  int count = atoi(argv[1]), rounds = atoi(argv[2]), failed = 0;
  if (count < 1 || count > MAX)
    return 2;
  pthread_barrier_init(&barrier, NULL, (unsigned)count);
  code = argv[3];
  for (int i = 0; i < rounds; i++)
    failed += round_of(count);
  code = argv[4];
  failed += round_of(count);
  sleep(1); /* the resolver threads come to their ends, their module closed */
  printf("%d passed, %d failed\n", count * (rounds + 1) - failed, failed);
  return failed > 0;
}
