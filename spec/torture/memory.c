/*
** memory.c - out of memory at every allocation: the cases of memory.lua, each
** run again and again in a new Lua state, with the first allocation failing,
** then the second, and so on until a run is through without a failure. Sweeps
** over Lua's allocations (an allocator of our own), libcurl's
** (curl_global_init_mem) and the module's own (its objects are linked into this
** program with malloc and its like wrapped).
**
** After each run the case says whether what came of it is right, and once more
** without a lack of memory; and no block of libcurl's or the module's may be
** left when the state is closed.
**
** Each run is a process of its own, so that one that crashes is one failure.
**
**   memory [-q] [-s SWEEP] [-n N] [CASE...]
**
** -q, the quick form: every eleventh allocation only; -s, -n: only this sweep,
** only this allocation.
**
** Two crashes are not ours, and are counted by themselves: libcurl (7.88 at
** least), out of memory as it notes which transfers use a socket, destroys the
** hash of these and uses it again, which is a division by its zero slots; and,
** as it keeps a TLS session, it frees the names of that twice.
** SPDX-License-Identifier: MIT
*/
#define _GNU_SOURCE
#include <curl/curl.h>
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server.h"
#include "state.h"

#define CASES "spec/torture/memory.lua"
#define SECONDS 20       /* for one run; then it hangs */
#define SECOND_CASE 11   /* the stride of the quick form, a prime */
#define MAX_RUNS 100000  /* of one case in one sweep */
#define ALL (1L << 40)   /* strikes: no more memory from there on */
#define SHOWN_FAILURES 5 /* of a case; the others are only counted */

int luaopen_uqpay(lua_State *L);
int luaopen_uqpay_internal(lua_State *L);

/* ------------------------------------------------------------------------ */
/* allocators                                                                */
/* ------------------------------------------------------------------------ */

/* Resolver threads allocate, too: atomics all. */
struct source {
  long left;    /* allocations before the first that fails */
  long strikes; /* so many fail in a row; 0: none does */
  long live;    /* blocks */
  long asked;
};

static struct source of_lua, of_curl, of_module;

static long add(long *counter, long n) {
  return __atomic_add_fetch(counter, n, __ATOMIC_SEQ_CST);
}

static long get(const long *value) {
  return __atomic_load_n(value, __ATOMIC_SEQ_CST);
}

/* Is there no memory for this one? */
static bool is_denied(struct source *s) {
  long strikes = get(&s->strikes);
  add(&s->asked, 1);
  if (strikes == 0)
    return false;
  long left = add(&s->left, -1);
  errno = ENOMEM;
  return left < 0 && left >= -strikes;
}

static void *count(struct source *s, void *block) {
  if (block != NULL)
    add(&s->live, 1);
  return block;
}

static void *lua_alloc(void *data, void *block, size_t old, size_t size) {
  (void)data;
  if (size == 0) {
    free(block);
    return NULL;
  }
  if (size > (block != NULL ? old : 0) && is_denied(&of_lua))
    return NULL;
  return realloc(block, size);
}

static void *source_malloc(struct source *s, size_t size) {
  return is_denied(s) ? NULL : count(s, malloc(size));
}

static void *source_calloc(struct source *s, size_t n, size_t size) {
  return is_denied(s) ? NULL : count(s, calloc(n, size));
}

static void *source_realloc(struct source *s, void *block, size_t size) {
  if (is_denied(s))
    return NULL;
  return block == NULL ? count(s, malloc(size)) : realloc(block, size);
}

static char *source_strdup(struct source *s, const char *text) {
  return is_denied(s) ? NULL : count(s, strdup(text));
}

static void source_free(struct source *s, void *block) {
  if (block != NULL)
    add(&s->live, -1);
  free(block);
}

static void *curl_malloc(size_t size) { return source_malloc(&of_curl, size); }
static void *curl_calloc(size_t n, size_t size) {
  return source_calloc(&of_curl, n, size);
}
static void *curl_realloc(void *block, size_t size) {
  return source_realloc(&of_curl, block, size);
}
static char *curl_strdup(const char *text) {
  return source_strdup(&of_curl, text);
}

static struct source *armed;

/* Once its memory is to fail, nothing of libcurl's is really given back: see
** above. */
static void curl_free_block(void *block) {
  if (armed != &of_curl)
    source_free(&of_curl, block);
  else if (block != NULL)
    add(&of_curl.live, -1);
}

/* What the module's objects call: see the Makefile. */
void *module_malloc(size_t size);
void *module_calloc(size_t n, size_t size);
void *module_realloc(void *block, size_t size);
char *module_strdup(const char *text);
void module_free(void *block);

void *module_malloc(size_t size) { return source_malloc(&of_module, size); }
void *module_calloc(size_t n, size_t size) {
  return source_calloc(&of_module, n, size);
}
void *module_realloc(void *block, size_t size) {
  return source_realloc(&of_module, block, size);
}
char *module_strdup(const char *text) {
  return source_strdup(&of_module, text);
}
void module_free(void *block) { source_free(&of_module, block); }

/* ------------------------------------------------------------------------ */
/* a run                                                                     */
/* ------------------------------------------------------------------------ */

struct sweep {
  const char *name;
  struct source *source;
  long strikes;
};

/* One failure alone is healed by the collection that Lua 5.2 and later make
** before they try again: hence two. */
static const struct sweep sweeps[] = {
    {"lua-once", &of_lua, 1},        {"lua-twice", &of_lua, 2},
    {"lua-rest", &of_lua, ALL},      {"curl-once", &of_curl, 1},
    {"curl-rest", &of_curl, ALL},    {"module-once", &of_module, 1},
    {"module-rest", &of_module, ALL}};
#define SWEEPS (sizeof sweeps / sizeof *sweeps)

static int port;

/* Counted by all processes. */
static struct {
  long passed, failed, struck, shown;
  long raised, reported, unharmed; /* what came of those that were struck */
  long crashes_of_libcurl;
} * totals;

static char doing[200]; /* for the alarm */

static void arm(const struct sweep *sweep, long n) {
  armed = sweep->source;
  __atomic_store_n(&armed->left, n, __ATOMIC_SEQ_CST);
  __atomic_store_n(&armed->strikes, sweep->strikes, __ATOMIC_SEQ_CST);
}

/* Did it strike? */
static bool disarm(void) {
  __atomic_store_n(&armed->strikes, 0, __ATOMIC_SEQ_CST);
  return get(&armed->left) < 0;
}

static void say(const char *what) {
  (void)!write(2, doing, strlen(doing));
  (void)!write(2, what, strlen(what));
}

/* How a run's process ends; in any other way, it crashes. */
enum ending { STRUCK = 10, THROUGH, HUNG, CRASHED, CRASHED_IN_LIBCURL };

static void on_alarm(int signal_number) {
  (void)signal_number;
  say(": it hangs\n");
  _exit(HUNG);
}

/* The frames: of this (two under a sanitizer), of the signal's return, of the
** crash. */
static bool is_in_libcurl(void **frames, int n) {
  Dl_info where;
  for (int i = 2; i < n && i < 4; i++) {
    if (dladdr(frames[i], &where) != 0 &&
        strstr(where.dli_fname, "libcurl") != NULL)
      return true;
  }
  return false;
}

static void on_crash(int signal_number) {
  void *frames[20];
  int n = backtrace(frames, 20);
  if (signal_number == SIGFPE && is_in_libcurl(frames, n))
    _exit(CRASHED_IN_LIBCURL);
  say(": it crashes\n");
  backtrace_symbols_fd(frames, n, 2);
  _exit(CRASHED);
}

static void complain(const char *why) {
  totals->failed++;
  if (totals->shown++ < SHOWN_FAILURES)
    fprintf(stderr, "%s: %s\n", doing, why);
}

static void preload(lua_State *L, const char *name, lua_CFunction open) {
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "preload");
  lua_pushcfunction(L, open);
  lua_setfield(L, -2, name);
  lua_pop(L, 2);
}

/* poll(fd): waits until it is readable. */
static int wait_for(lua_State *L) {
  struct pollfd p = {.fd = (int)lua_tointeger(L, 1), .events = POLLIN};
  (void)poll(&p, 1, SECONDS * 1000);
  return 0;
}

/* A state with the case's functions at 1 (what is done), 2 (what it came to)
** and 3 (all over again). */
static lua_State *open_case(const char *name) {
  lua_State *L = new_state(lua_alloc);
  if (L == NULL)
    abort();
  luaL_openlibs(L);
  preload(L, "uqpay", luaopen_uqpay);
  preload(L, "uqpay.internal", luaopen_uqpay_internal);
  lua_register(L, "poll", wait_for);
  if (luaL_loadfile(L, CASES) != 0)
    goto broken;
  lua_pushstring(L, name);
  lua_pushinteger(L, port);
  if (lua_pcall(L, 2, 3, 0) != 0)
    goto broken;
  return L;
broken:
  fprintf(stderr, "%s: %s\n", name, lua_tostring(L, -1));
  exit(2);
}

/* Calls the function at idx with the values at the top, n of them. Complains if
** it raises an error. */
static bool call(lua_State *L, int idx, int n, int results) {
  lua_pushvalue(L, idx);
  lua_insert(L, -n - 1);
  if (lua_pcall(L, n, results, 0) == 0)
    return true;
  complain(lua_tostring(L, -1));
  return false;
}

static void note_outcome(const char *outcome) {
  totals->struck++;
  if (strcmp(outcome, "raised") == 0)
    totals->raised++;
  else if (strcmp(outcome, "reported") == 0)
    totals->reported++;
  else
    totals->unharmed++;
}

/* Are there as many blocks as before? A resolver's thread may have to end
** first: libcurl begins one for 127.0.0.1, too, if its own reading of that had
** no memory. */
static bool is_back(const struct source *s, long live) {
  for (int i = 0; i < 5000 && get(&s->live) != live; i++)
    (void)poll(NULL, 0, 1);
  return get(&s->live) == live;
}

/* Runs the case with the nth allocation failing. Was there an nth? */
static bool run(const struct sweep *sweep, const char *name, long n) {
  long curl_live = get(&of_curl.live), module_live = get(&of_module.live);
  lua_State *L = open_case(name);
  luaL_checkstack(L, 20, "a run");
  lua_pushvalue(L, 1);
  arm(sweep, n);
  int status = lua_pcall(L, 0, LUA_MULTRET, 0);
  bool strike = disarm();
  lua_pushboolean(L, status == 0);
  lua_insert(L, 4);
  lua_pushstring(L, strike ? sweep->name : NULL);
  lua_insert(L, 4);
  bool good = call(L, 2, lua_gettop(L) - 3, 1);
  if (good && strike)
    note_outcome(lua_tostring(L, -1));
  good = good && call(L, 3, 0, 0);
  lua_close(L);
  if (good && !is_back(&of_module, module_live)) {
    complain("blocks of the module's are left");
    good = false;
  }
  if (good && sweep->source == &of_curl && get(&of_curl.live) < curl_live) {
    totals->crashes_of_libcurl++;
  } else if (good && !is_back(&of_curl, curl_live)) {
    complain("blocks of libcurl's are left");
    good = false;
  }
  totals->passed += good;
  return strike;
}

/* The same in a process of its own. */
static bool try(const struct sweep *sweep, const char *name, long n) {
  int status;
  snprintf(doing, sizeof doing, "%s %s, allocation %ld", sweep->name, name, n);
  pid_t child = fork();
  if (child == 0) {
    signal(SIGALRM, on_alarm);
    signal(SIGFPE, on_crash);
#if !defined(__SANITIZE_ADDRESS__) /* which says more of the others */
    signal(SIGSEGV, on_crash);
    signal(SIGBUS, on_crash);
    signal(SIGABRT, on_crash);
#endif
    alarm(SECONDS);
    _exit(run(sweep, name, n) ? STRUCK : THROUGH);
  }
  if (child < 0 || waitpid(child, &status, 0) != child)
    exit(2);
  int ending = WIFEXITED(status) ? WEXITSTATUS(status) : CRASHED;
  if (ending == CRASHED_IN_LIBCURL)
    totals->crashes_of_libcurl++;
  else if (ending != STRUCK && ending != THROUGH)
    complain("see above");
  return ending != THROUGH;
}

static void sweep_case(const struct sweep *sweep, const char *name,
                       long stride) {
  long n = 0;
  while (n < MAX_RUNS && try(sweep, name, n))
    n += stride;
}

/* ------------------------------------------------------------------------ */
/* all of it                                                                 */
/* ------------------------------------------------------------------------ */

static bool is_chosen(const char *name, char **names) {
  if (names[0] == NULL)
    return true;
  for (; *names != NULL; names++) {
    if (strcmp(*names, name) == 0)
      return true;
  }
  return false;
}

/* The names of the cases, in a state that keeps them. */
static lua_State *list_cases(void) {
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  if (luaL_loadfile(L, CASES) != 0 || lua_pcall(L, 0, 1, 0) != 0) {
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
    exit(2);
  }
  return L;
}

/* All of a case. What libraries keep for good after a first time is there
** before the blocks are counted. */
static void torture(const char *name, const char *only, long stride, long at) {
  long before = totals->passed + totals->failed;
  totals->shown = 0;
  run(&sweeps[0], name, MAX_RUNS);
  for (size_t i = 0; i < SWEEPS; i++) {
    if (only != NULL && strcmp(only, sweeps[i].name) != 0)
      continue;
    if (at >= 0)
      try(&sweeps[i], name, at);
    else
      sweep_case(&sweeps[i], name, stride);
  }
  printf("%-32s %5ld runs\n", name, totals->passed + totals->failed - before);
  fflush(stdout);
}

int main(int argc, char **argv) {
  const char *only = NULL;
  long stride = 1, at = -1;
  int option;
  while ((option = getopt(argc, argv, "qs:n:")) != -1) {
    if (option == 'q')
      stride = SECOND_CASE;
    else if (option == 's')
      only = optarg;
    else if (option == 'n')
      at = atol(optarg);
    else
      return 2;
  }
  totals = mmap(NULL, sizeof *totals, PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (totals == MAP_FAILED)
    return 2;
  port = server_start();
  if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, curl_malloc, curl_free_block,
                           curl_realloc, curl_strdup, curl_calloc) != CURLE_OK)
    return 2;
  lua_State *L = list_cases();
  for (int i = 1; lua_rawgeti(L, 1, i), !lua_isnil(L, -1); i++) {
    const char *name = lua_tostring(L, -1);
    if (is_chosen(name, argv + optind))
      torture(name, only, stride, at);
    lua_settop(L, 1);
  }
  lua_close(L);
  printf("%ld allocations failed: %ld errors raised, %ld returned, %ld without "
         "a trace; %ld crashes of libcurl's own\n%ld passed, %ld failed\n",
         totals->struck, totals->raised, totals->reported, totals->unharmed,
         totals->crashes_of_libcurl, totals->passed, totals->failed);
  return totals->failed > 0;
}
