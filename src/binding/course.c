/*
** course.c - see course.h.
** SPDX-License-Identifier: MIT
*/
#include "binding/course.h"

#include <stddef.h>
#include <string.h>

#include "binding/call_error.h"
#include "binding/client.h"
#include "binding/client_clock.h"
#include "binding/compat.h"
#include "engine/http/transport.h"
#include "engine/policy/run_queue.h"

enum uq_verdict uqL_state_pause(lua_State *L, int idx, struct uq_call *call) {
  (void)L, (void)idx;
  if (!call->task.due && uq_client_clock(call->client) < call->task.wake)
    return UQ_WAIT;
  uq_call_enter(call, UQ_CALL_START, 0);
  return UQ_GO;
}

enum uq_verdict uqL_state_ended(lua_State *L, int idx, struct uq_call *call) {
  (void)idx;
  return uqL_call_fail_ended(L, call);
}

int uqL_course_step(lua_State *L, int idx, struct uq_call *call) {
  enum uq_verdict verdict;
  if (!uq_call_is_over(call) && uq_transport_forked(call->client->transport)) {
    (void)uqL_call_fail_forked(L, call);
    return call->pushed;
  }
  do
    verdict = call->course->states[call->state](L, idx, call);
  while (verdict == UQ_GO);
  return verdict == UQ_RESULTS ? call->pushed : 0;
}

/* True if the error at the top is a lack of memory. Its status does not tell on
** Lua 5.1 to 5.3 once it was caught and raised again. */
static bool is_memory_error(lua_State *L) {
  return lua_type(L, -1) == LUA_TSTRING &&
         strstr(lua_tostring(L, -1), "not enough memory") != NULL;
}

/* True if there is nothing to step: the call has its results, is being stepped
** (this is one of its own hooks), or its batch has handed them out. */
static bool is_done(const struct uq_call *call) {
  return call->results > 0 || call->stepped ||
         (uq_call_is_over(call) && call->ended == NULL);
}

bool uqL_course_try(lua_State *L, int idx, lua_CFunction step) {
  struct uq_call *call = lua_touserdata(L, idx);
  lua_pushcfunction(L, step); /* allocates on 5.1: a finalizer may step it */
  lua_pushvalue(L, idx);
  if (is_done(call)) {
    lua_pop(L, 2);
    return true;
  }
  call->stepped = true;
  bool good = lua_pcall(L, 1, 0, 0) == LUA_OK;
  call->stepped = false;
  if (good)
    return true;
  uq_call_stop(call,
               is_memory_error(L) ? &uq_ending_starved : &uq_ending_broken);
  uq_call_forget(call);
  return false;
}

void uqL_course_keep_results(lua_State *L, int idx, struct uq_call *call,
                             int n) {
  int last = lua_gettop(L);
  uqL_get_user_value(L, idx);
  for (int i = 1; i <= n; i++) {
    lua_pushvalue(L, last - n + i);
    lua_rawseti(L, -2, i);
  }
  call->results = n;
}
