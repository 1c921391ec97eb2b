/*
** batch_calls.h - the calls of a batch: a pool of call objects, which are used
** for one query after the other.
**
** Any allocation may run a finalizer that uses the iterator which is at work:
** what that can change is looked at again afterwards. A call is in one of the
** lists `free`, `flight` and `finished`, or is being begun; it changes its list
** without an allocation. So each result is given once.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_BATCH_CALLS_H
#define UQ_BATCH_CALLS_H

#include <stdbool.h>

#include "binding/calls.h"
#include "binding/compat.h"
#include "binding/options.h"
#include "engine/policy/run_queue.h"

#pragma GCC visibility push(hidden)

struct uq_client;

/* The user value of a batch: "client", "source", "progress", "refused" (why all
** queries are refused, or nil), "query" (the next one); at 2n - 1 the call
** number n, at 2n its query. */
struct uq_batch {
  struct uq_task_group group; /* its calls in flight */
  struct uq_client *client;   /* the user value keeps it alive */
  struct uq_options options;  /* of all its calls */
  struct uq_link free;        /* calls that wait for a query */
  struct uq_link flight;
  struct uq_link finished; /* in order of completion */
  int calls;               /* their number in all lists */
  int busy;                /* the same without the free ones */
  bool is_list;            /* the source is a list ... */
  int total;               /* ... with so many queries when the batch began */
  int taken;               /* queries taken from the list */
  bool source_over;        /* it has no more queries, or is being asked */
  bool closed;             /* the client was, before all calls were begun */
  bool has_query;          /* "query" is one for which no call is begun yet */
  bool interrupted;        /* a step has raised: any call may be over */
  struct uq_call *held; /* by the rate limit, as the next would be; or NULL */
  struct uq_call *stepped; /* a step of it runs; or NULL */
  double done, failed;     /* results given, failures among them */
  double started;          /* on uq_clock */
};

/* Makes the batch one without calls. */
void uq_batch_init(struct uq_batch *b, const struct uq_options *o);

/* True if no call is in the list. */
bool uq_batch_is_empty(const struct uq_link *list);

/* The first call of a list that has one. */
struct uq_call *uq_batch_first(const struct uq_link *list);

/* The call's results were given: it is free. */
void uq_batch_recycle(struct uq_batch *b, struct uq_call *call);

/* Below, the batch is at 1, and uv is the index of its user value. */

/* Pushes the call object. */
void uqL_batch_push_call(lua_State *L, int uv, const struct uq_call *call);

/* Begins a call for the next query, unless a finalizer has done so. */
void uqL_batch_begin_next(lua_State *L, struct uq_batch *b, int uv);

/* Steps the calls that are due. */
void uqL_batch_step(lua_State *L, struct uq_batch *b, int uv);

/* Cancels the calls in flight, whose results nobody needs, and begins no more.
 */
void uq_batch_stop(struct uq_batch *b);

#pragma GCC visibility pop

#endif
