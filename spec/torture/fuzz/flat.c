/*
** flat.c - the fast parser of flat objects (src/engine/number/flat_json.c)
** against lua-cjson with src/engine/number/json_numbers.c: what the first
** accepts, the second accepts as well, with the same members.
** SPDX-License-Identifier: MIT
*/
#include "state.h"

#include "binding/json.h"
#include "engine/base/buf.h"
#include "engine/number/flat_json.h"

#define MOST 16

static bool is_plain(const struct uq_member *m) {
  for (size_t i = 0; i < m->name_len; i++) {
    if (m->name[i] < ' ' || m->name[i] >= 0x7F || m->name[i] == '\\')
      return false;
  }
  return true;
}

/* True if a later member has the same name: that one wins. */
static bool is_hidden(const struct uq_member *members, int i, int n) {
  for (int k = i + 1; k < n; k++) {
    if (members[k].name_len == members[i].name_len &&
        memcmp(members[k].name, members[i].name, members[i].name_len) == 0)
      return true;
  }
  return false;
}

/* The decoded table is at the top. */
static void check_member(lua_State *L, const struct uq_member *m) {
  const char *text = NULL;
  size_t len = 0;
  lua_pushlstring(L, m->name, m->name_len);
  lua_rawget(L, -2);
  CHECK(uqL_json_type(L, -1, &text, &len) ==
        (m->string ? UQ_JSON_STRING : UQ_JSON_NUMBER));
  CHECK(len == m->len && (len == 0 || memcmp(text, m->text, len) == 0));
  lua_pop(L, 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
  lua_State *L = fuzz_state();
  struct uq_member members[MOST];
  struct uq_buf scratch;
  size_t counted = 0;
  char *text = fuzz_copy(bytes, len, true);
  int n = uq_flat_json_parse(text, len, members, MOST);
  bool plain = n > 0;
  CHECK(n >= 0 && n <= MOST);
  for (int i = 0; i < n; i++) {
    CHECK(members[i].name > text && members[i].text > members[i].name);
    CHECK(members[i].text + members[i].len <= text + len);
    plain = plain && is_plain(&members[i]);
  }
  if (plain) { /* else no field has such a name, and the text is left to
                  lua-cjson */
    uq_buf_init(&scratch, 0);
    CHECK(uqL_json_decode(L, text, len, false, &scratch, &counted));
    CHECK(lua_istable(L, -1));
    CHECK(counted == (size_t)n);
    for (int i = 0; i < n; i++) {
      if (!is_hidden(members, i, n))
        check_member(L, &members[i]);
    }
    uq_buf_free(&scratch);
    lua_settop(L, 0);
  }
  free(text);
  return 0;
}
