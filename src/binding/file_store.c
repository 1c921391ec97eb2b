/*
** file_store.c - see file_store.h.
** SPDX-License-Identifier: MIT
*/
#include "binding/file_store.h"

#include <string.h>

#include "binding/auxlib.h"
#include "binding/compat.h"
#include "binding/error.h"
#include "binding/reclaim.h"
#include "engine/base/buf.h"
#include "engine/store/lock_file.h"
#include "engine/store/private_file.h"
#include "engine/store/token_file.h"

#define UQ_FILE_STORE "uqpay.file_store" /* metatable */

struct file_store {
  bool closed; /* collected: finalizers may still call its functions */
  char path[UQ_PATH_MAX + 1];
};

/* The store as this use of it sees it. */
static struct uq_token_file use(const struct file_store *f) {
  struct uq_token_file s;
  s.path = f->path;
  s.owner = f;
  s.message[0] = '\0';
  return s;
}

static struct uq_token_file check_store(lua_State *L) {
  const struct file_store *f = uqL_self(L, UQ_FILE_STORE, "store");
  if (f->closed)
    luaL_error(L, "attempt to use a closed uqpay file store");
  return use(f);
}

static const char *check_text(lua_State *L, int arg, size_t max, size_t *len) {
  const char *text = luaL_checklstring(L, arg, len);
  if (!uq_token_file_takes(text, *len, max)) {
    lua_pushfstring(L, "1 to %d bytes without control bytes expected%s",
                    (int)max, *len == 0 ? ", got an empty string" : "");
    luaL_argerror(L, arg, lua_tostring(L, -1));
  }
  return text;
}

static const char *check_key(lua_State *L, size_t *len) {
  return check_text(L, 2, UQ_TOKEN_FILE_KEY_MAX, len);
}

/* nil and the message: the world's failure. */
static int fail(lua_State *L, const struct uq_token_file *s) {
  lua_pushnil(L);
  uqL_push_shown(L, s->message, strlen(s->message), UQ_SHOWN_MAX);
  return 2;
}

/* store:get(key) -> token, its end or nil; nil: none */
static int store_get(lua_State *L) {
  char token[UQ_TOKEN_FILE_TOKEN_MAX];
  struct uq_stored_token entry;
  struct uq_token_file s = check_store(L);
  entry.key = check_key(L, &entry.key_len);
  enum uq_store_status status = uq_token_file_get(&s, &entry, token);
  if (status == UQ_STORE_ERROR && uqL_reclaim(L, NULL))
    status = uq_token_file_get(&s, &entry, token);
  if (status == UQ_STORE_ERROR)
    return fail(L, &s);
  if (status == UQ_STORE_ABSENT) {
    lua_pushnil(L);
    return 1;
  }
  lua_pushlstring(L, token, entry.token_len);
  uq_wipe(token, entry.token_len);
  if (entry.end == 0)
    lua_pushnil(L);
  else
    uqL_pushcount(L, entry.end);
  return 2;
}

/* store:set(key, token [, end]) -> true */
static int store_set(lua_State *L) {
  struct uq_stored_token entry = {NULL, NULL, 0, 0, 0};
  struct uq_token_file s = check_store(L);
  entry.key = check_key(L, &entry.key_len);
  if (!lua_isnoneornil(L, 3))
    entry.token = check_text(L, 3, UQ_TOKEN_FILE_TOKEN_MAX, &entry.token_len);
  if (!lua_isnoneornil(L, 4))
    entry.end = (double)luaL_checknumber(L, 4);
  luaL_argcheck(L, entry.end >= 0 && entry.end < UQ_TOKEN_FILE_END_MAX, 4,
                "Unix seconds expected");
  enum uq_store_status status = uq_token_file_set(&s, &entry);
  if (status == UQ_STORE_ERROR && uqL_reclaim(L, NULL))
    status = uq_token_file_set(&s, &entry);
  if (status == UQ_STORE_ERROR)
    return fail(L, &s);
  lua_pushboolean(L, true);
  return 1;
}

/* store:lock(key) -> true; false: it is locked already, by any owner */
static int store_lock(lua_State *L) {
  size_t len;
  struct uq_token_file s = check_store(L);
  const char *key = check_key(L, &len);
  enum uq_lock_status status = uq_token_file_lock(&s, key, len);
  if (status == UQ_LOCK_ERROR && uqL_reclaim(L, NULL))
    status = uq_token_file_lock(&s, key, len);
  if (status == UQ_LOCK_ERROR)
    return fail(L, &s);
  lua_pushboolean(L, status == UQ_LOCK_OK);
  return 1;
}

/* store:unlock(key) -> true */
static int store_unlock(lua_State *L) {
  size_t len;
  struct uq_token_file s = check_store(L);
  const char *key = check_key(L, &len);
  uq_token_file_unlock(&s, key, len);
  lua_pushboolean(L, true);
  return 1;
}

static int store_gc(lua_State *L) {
  struct file_store *f = luaL_checkudata(L, 1, UQ_FILE_STORE);
  struct uq_token_file s = use(f);
  f->closed = true;
  uq_token_file_unlock_all(&s);
  return 0;
}

/* uqpay.file_store(path). Nothing is opened before a function is called. */
int uqL_file_store_new(lua_State *L) {
  size_t len;
  uqL_check_dot(L, "file_store", "(...)");
  const char *path = luaL_checklstring(L, 1, &len);
  luaL_argcheck(L, len > 0, 1, "path of a file expected, got an empty string");
  luaL_argcheck(
      L, len <= UQ_PATH_MAX && strlen(path) == len && path[len - 1] != '/', 1,
      "path of a file, of at most 1024 bytes, expected");
  struct file_store *f = lua_newuserdata(L, sizeof *f);
  memcpy(f->path, path, len + 1);
  f->closed = false;
  luaL_getmetatable(L, UQ_FILE_STORE);
  lua_setmetatable(L, -2);
  return 1;
}

void uqL_file_store_open(lua_State *L) {
  static const luaL_Reg metamethods[] = {{"__gc", store_gc}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"get", store_get},
                                     {"set", store_set},
                                     {"lock", store_lock},
                                     {"unlock", store_unlock},
                                     {NULL, NULL}};
  uqL_class(L, UQ_FILE_STORE, metamethods, methods);
}
