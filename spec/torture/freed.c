/*
** freed.c - where secrets are left in memory. Runs Lua code that uses a client,
** with the module's objects linked in and every allocator of the process
** wrapped (glibc's is below); see freed.lua for the cases. Told are
**
**   freed  blocks that held a secret when they were given back,
**   live   blocks that hold one at the end, when the client is closed and all
**          garbage is collected,
**   left   copies that stand in freed memory then, as a core dump or whoever
**          gets that memory next would see them,
**
** each by the secret's name, whose memory it is or was (uqpay, lua, or the
** library that asked for it), how many there are and the bytes of the longest;
** a part of 16 bytes counts.
**
** The secrets come masked, every bit turned over, and nothing here ever unmasks
** them but for Lua. Code has the functions secret(name), which gives one,
** holds(), which counts the module's blocks that hold one, and starve.
**
**   UQPAY_SECRETS="<name> <masked hex> ..." freed CODE
** SPDX-License-Identifier: MIT
*/
#define _GNU_SOURCE
#include <dlfcn.h>
#include <inttypes.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <malloc.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state.h"

int luaopen_uqpay(lua_State *L);
int luaopen_uqpay_internal(lua_State *L);

/* ------------------------------------------------------------------------ */
/* secrets                                                                   */
/* ------------------------------------------------------------------------ */

#define PART 16 /* bytes: the least that is found */
#define MAX_SECRETS 8
#define MAX_BYTES 512

struct secret {
  char name[32];
  unsigned char masked[MAX_BYTES];
  size_t len;
};

static struct secret secrets[MAX_SECRETS];
static int count;
static bool begins[256]; /* does a part begin with that byte? */

static bool is_at(const struct secret *s, size_t i, unsigned char byte) {
  return i < s->len && s->masked[i] == (byte ^ 0xFF);
}

/* How many bytes of the secret stand here: whole parts, and what follows. */
static size_t match(const struct secret *s, const unsigned char *at,
                    const unsigned char *end) {
  for (size_t from = 0; from + PART <= s->len; from += PART) {
    size_t n = 0;
    while (at + n < end && is_at(s, from + n, at[n]))
      n++;
    if (n >= PART)
      return n;
  }
  return 0;
}

struct hit {
  const unsigned char *at;
  const struct secret *secret;
  size_t len;
};

/* The next copy of a secret from *at on; moves *at behind it. */
static bool find(const unsigned char **at, const unsigned char *end,
                 struct hit *hit) {
  for (const unsigned char *p = *at; end - p >= PART; p++) {
    if (!begins[*p])
      continue;
    for (int i = 0; i < count; i++) {
      size_t n = match(&secrets[i], p, end);
      if (n > 0) {
        *hit = (struct hit){p, &secrets[i], n};
        *at = p + n;
        return true;
      }
    }
  }
  return false;
}

static bool has_secret(const void *block, size_t size) {
  const unsigned char *at = block;
  struct hit hit;
  return find(&at, at + size, &hit);
}

static void read_secrets(const char *text) {
  char hex[2 * MAX_BYTES + 1];
  int read;
  while (count < MAX_SECRETS &&
         sscanf(text, " %31s %1024s%n", secrets[count].name, hex, &read) == 2) {
    struct secret *s = &secrets[count++];
    text += read;
    for (const char *p = hex; p[0] != '\0' && p[1] != '\0'; p += 2) {
      unsigned byte;
      sscanf(p, "%2x", &byte);
      s->masked[s->len++] = (unsigned char)byte;
    }
    for (size_t i = 0; i + PART <= s->len; i += PART)
      begins[s->masked[i] ^ 0xFF] = true;
  }
}

/* ------------------------------------------------------------------------ */
/* what is told                                                              */
/* ------------------------------------------------------------------------ */

#define MAX_ROWS 64

struct row {
  const char *stage;
  const struct secret *secret;
  char owner[32];
  long count;
  size_t longest;
};

static struct row rows[MAX_ROWS];

static void tell(const char *stage, const char *owner, const struct hit *hit) {
  for (struct row *r = rows; r < rows + MAX_ROWS; r++) {
    if (r->stage == NULL) {
      r->stage = stage;
      r->secret = hit->secret;
      snprintf(r->owner, sizeof r->owner, "%s", owner);
    } else if (r->stage != stage || r->secret != hit->secret ||
               strncmp(r->owner, owner, sizeof r->owner - 1) != 0) {
      continue;
    }
    r->count++;
    if (hit->len > r->longest)
      r->longest = hit->len;
    return;
  }
}

static void print_rows(void) {
  for (struct row *r = rows; r < rows + MAX_ROWS && r->stage != NULL; r++)
    printf("%s %s %s %ld %zu\n", r->stage, r->secret->name, r->owner, r->count,
           r->longest);
}

/* ------------------------------------------------------------------------ */
/* blocks                                                                    */
/* ------------------------------------------------------------------------ */

#define MAX_BLOCKS (1 << 19)

/* Every block there has been, in order, and the last at each address. */
struct block {
  const unsigned char *at;
  size_t size;
  const void *caller; /* whose return address, or &of_lua, &of_module */
  bool freed;
};

static struct block blocks[MAX_BLOCKS];
static long known = 1; /* the first is none */
static uint32_t last[2 * MAX_BLOCKS];
static const char of_lua, of_module;

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *block, size_t size);
void __libc_free(void *block);

/* Where the address is, or is to be, in the table of the last ones. */
static uint32_t *place(const void *at) {
  size_t i = ((uintptr_t)at >> 4) * 0x9E3779B1u;
  for (;; i++) {
    uint32_t *p = &last[i % (sizeof last / sizeof *last)];
    if (*p == 0 || blocks[*p].at == at)
      return p;
  }
}

static void *note(void *at, const void *caller) {
  if (at == NULL)
    return NULL;
  long n = __atomic_fetch_add(&known, 1, __ATOMIC_SEQ_CST);
  if (n >= MAX_BLOCKS)
    abort();
  blocks[n] = (struct block){at, malloc_usable_size(at), caller, false};
  *place(at) = (uint32_t)n;
  return at;
}

static const char *owner_of(const struct block *b) {
  Dl_info where;
  if (b->caller == &of_lua)
    return "lua";
  if (b->caller == &of_module)
    return "uqpay";
  if (b->caller == NULL || dladdr(b->caller, &where) == 0)
    return "unknown";
  const char *slash = strrchr(where.dli_fname, '/');
  return slash != NULL ? slash + 1 : where.dli_fname;
}

/* The block is about to be given back. */
static void leave(const void *at) {
  const unsigned char *p = at;
  struct hit hit;
  if (at == NULL)
    return;
  struct block *b = &blocks[*place(at)];
  b->freed = true;
  while (count > 0 && find(&p, b->at + b->size, &hit))
    tell("freed", owner_of(b), &hit);
}

static void *move(void *old, size_t size, const void *caller) {
  leave(old); /* as if it always moved */
  return note(__libc_realloc(old, size), caller);
}

#define CALLER __builtin_return_address(0)

/* In the place of libc's for everybody. */
void *malloc(size_t size) { return note(__libc_malloc(size), CALLER); }
void *calloc(size_t n, size_t size) {
  return note(__libc_calloc(n, size), CALLER);
}
void *realloc(void *block, size_t size) { return move(block, size, CALLER); }
void free(void *block) {
  leave(block);
  __libc_free(block);
}

/* Reallocates for Lua or the module. New memory is cleared, as by calloc: what
** others have left there must not be taken for theirs. */
static void *move_emptied(void *block, size_t size, const void *owner) {
  size_t old = block != NULL ? malloc_usable_size(block) : 0;
  char *moved = move(block, size, owner);
  size_t now = moved != NULL ? malloc_usable_size(moved) : 0;
  if (now > old)
    memset(moved + old, 0, now - old);
  return moved;
}

/* Whose memory is short, and after how many more allocations; NULL: nobody's.
 */
static const char *starved;
static long left;

static bool is_denied(const char *whose) {
  return starved == whose && --left < 0;
}

static void *lua_alloc(void *data, void *block, size_t old, size_t size) {
  (void)data;
  if (size == 0) {
    free(block);
    return NULL;
  }
  if ((block == NULL || size > old) && is_denied(&of_lua))
    return NULL;
  return move_emptied(block, size, &of_lua);
}

/* What the module's objects call: see the Makefile. */
void *module_malloc(size_t size);
void *module_calloc(size_t n, size_t size);
void *module_realloc(void *block, size_t size);
char *module_strdup(const char *text);
void module_free(void *block);

void *module_malloc(size_t size) { return module_calloc(1, size); }
void *module_calloc(size_t n, size_t size) {
  return is_denied(&of_module) ? NULL
                               : note(__libc_calloc(n, size), &of_module);
}
void *module_realloc(void *block, size_t size) {
  return is_denied(&of_module) ? NULL : move_emptied(block, size, &of_module);
}
char *module_strdup(const char *text) {
  char *copy = module_malloc(strlen(text) + 1);
  return copy != NULL ? strcpy(copy, text) : NULL;
}
void module_free(void *block) { free(block); }

/* ------------------------------------------------------------------------ */
/* the whole of memory                                                       */
/* ------------------------------------------------------------------------ */

/* The last block that this was a part of; NULL: none. */
static const struct block *block_at(const unsigned char *at) {
  for (long i = known - 1; i > 0; i--) {
    if (at >= blocks[i].at && at < blocks[i].at + blocks[i].size)
      return &blocks[i];
  }
  return NULL;
}

static void tell_place(const char *mapping, const struct hit *hit) {
  const struct block *b = block_at(hit->at);
  if (b != NULL)
    tell(b->freed ? "left" : "live", owner_of(b), hit);
  else
    tell("left", mapping[0] != '\0' ? mapping : "unknown", hit);
}

/* Looks through everything that can be written to. */
static void survey(void) {
  char line[512];
  FILE *maps = fopen("/proc/self/maps", "r");
  while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
    uintptr_t from, to;
    char mode[5], mapping[256] = "";
    struct hit hit;
    if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s %*s %*s %*s %255s", &from,
               &to, mode, mapping) < 3 ||
        strncmp(mode, "rw", 2) != 0)
      continue;
    const unsigned char *at = (const unsigned char *)from;
    while (find(&at, (const unsigned char *)to, &hit))
      tell_place(mapping, &hit);
  }
  if (maps == NULL)
    abort();
  fclose(maps);
}

/* ------------------------------------------------------------------------ */
/* Lua                                                                       */
/* ------------------------------------------------------------------------ */

/* secret(name) -> it */
static int give_secret(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  for (int i = 0; i < count; i++) {
    volatile char text[MAX_BYTES];
    if (strcmp(secrets[i].name, name) != 0)
      continue;
    for (size_t n = 0; n < secrets[i].len; n++)
      text[n] = (char)(secrets[i].masked[n] ^ 0xFF);
    lua_pushlstring(L, (const char *)text, secrets[i].len);
    for (size_t n = 0; n < secrets[i].len; n++)
      text[n] = 0;
    return 1;
  }
  return luaL_error(L, "no secret '%s'", name);
}

/* holds() -> how many blocks of the module hold one */
static int holds(lua_State *L) {
  lua_Integer n = 0;
  for (long i = 1; i < known; i++) {
    const struct block *b = &blocks[i];
    n += b->caller == &of_module && !b->freed && has_secret(b->at, b->size);
  }
  lua_pushinteger(L, n);
  return 1;
}

/* starve(whose, n): "lua" or "uqpay" gets n allocations and then none.
** starve() -> has there been a lack? It is over. */
static int starve(lua_State *L) {
  bool lack = starved != NULL && left < 0;
  starved = NULL;
  if (lua_isnone(L, 1)) {
    lua_pushboolean(L, lack);
    return 1;
  }
  left = (long)luaL_checkinteger(L, 2);
  starved = *luaL_checkstring(L, 1) == 'l' ? &of_lua : &of_module;
  return 0;
}

static void preload(lua_State *L, const char *name, lua_CFunction open) {
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "preload");
  lua_pushcfunction(L, open);
  lua_setfield(L, -2, name);
  lua_pop(L, 2);
}

int main(int argc, char **argv) {
  const char *masked = getenv("UQPAY_SECRETS");
  lua_State *L = new_state(lua_alloc);
  if (argc != 2 || masked == NULL || L == NULL)
    return 2;
  read_secrets(masked);
  luaL_openlibs(L);
  preload(L, "uqpay", luaopen_uqpay);
  preload(L, "uqpay.internal", luaopen_uqpay_internal);
  lua_register(L, "secret", give_secret);
  lua_register(L, "holds", holds);
  lua_register(L, "starve", starve);
  if (luaL_loadstring(L, argv[1]) != 0 || lua_pcall(L, 0, 0, 0) != 0) {
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
    return 2;
  }
  for (int i = 0; i < 3; i++)
    lua_gc(L, LUA_GCCOLLECT, 0);
  survey();
  lua_close(L);
  print_rows();
  return 0;
}
