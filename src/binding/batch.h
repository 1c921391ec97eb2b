/*
** batch.h - client:batch: many balances, a few at a time, in order of
** completion.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_BATCH_H
#define UQ_BATCH_H

#include "binding/compat.h"

#pragma GCC visibility push(hidden)

/* Registers the class. */
void uqL_batch_open(lua_State *L);

/* client:batch(queries [, options]) -> an iterator, nil, nil, and a value whose
** __close ends the calls. The client, open, is at 1. */
int uqL_batch(lua_State *L);

/* For batch.lua, whose waits, and source and `progress`, may yield. */

/* batch_next(batch) -> "result", query and the call's results; "query": a query
** of the source is needed; "wait": until a call is due; "end". */
int uqL_batch_next(lua_State *L);

/* batch_query(batch, query [, failure]): what the source has returned; a query
** of nil ends it. */
int uqL_batch_query(lua_State *L);

/* batch_wait(batch): blocks until a call may be due. */
int uqL_batch_wait(lua_State *L);

/* batch_hook_failed(batch): counts an error that `progress` has raised. */
int uqL_batch_hook_failed(lua_State *L);

/* batch_info(batch) -> what `progress` is called with. */
int uqL_batch_info(lua_State *L);

/* batch_close(batch): ends its calls. Also the __close of a batch. */
int uqL_batch_close(lua_State *L);

#pragma GCC visibility pop

#endif
