/*
** hook.h - the user's hooks. They see no secret, and change no result.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_HOOK_H
#define UQ_HOOK_H

#include <stdbool.h>

#include "binding/compat.h"

#pragma GCC visibility push(hidden)

struct uq_secrets;

/* Each is called only if the client has the hook. Afterwards the client may be
** closed. */

/* Before an attempt. */
void uqL_hook_request(lua_State *L, int idx);

/* After a response; at the top: the result, or the error table. */
void uqL_hook_response(lua_State *L, int idx, bool good,
                       const struct uq_secrets *secrets);

/* Before the pause of `wait` seconds that the error table at the top leads to.
 */
void uqL_hook_retry(lua_State *L, int idx, double wait);

#pragma GCC visibility pop

#endif
