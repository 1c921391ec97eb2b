/*
** batch_calls.h - the calls of a batch: a pool of call objects, which are used
** for one query after the other.
**
** Any allocation may run a finalizer that uses the same iterator: what that can
** change is looked at again afterwards. A call is in one of the lists `free`,
** `flight` and `finished`, or is being begun; it moves to another list without
** an allocation. So each result is returned once.
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

/* The user value of a batch: these, and behind them each call and its query. By
** integers, since each call needs some of them. */
enum {
  UQ_BATCH_CLIENT = 1,
  UQ_BATCH_SOURCE,
  UQ_BATCH_QUERY,   /* the next one */
  UQ_BATCH_REFUSED, /* why all queries are refused; nil: they are not */
  UQ_BATCH_PROGRESS,
  UQ_BATCH_VALUES = UQ_BATCH_PROGRESS /* their number */
};

struct uq_batch {
  struct uq_task_group group; /* its calls in flight */
  struct uq_client *client;   /* the user value keeps it alive */
  struct uq_options options;  /* of all its calls */
  struct uq_link free;        /* calls that wait for a query */
  struct uq_link flight;
  struct uq_link finished; /* in order of completion */
  int calls;               /* their number in all lists */
  int busy;                /* the same without the free ones */
  bool reports;            /* it has a `progress` */
  bool is_list;            /* the source is a list ... */
  int total;               /* ... with so many queries when the batch began */
  int taken;               /* queries taken from the list */
  bool source_over;        /* it has no more queries, or is being called */
  bool stopped;            /* the loop over it was left */
  bool closed;             /* the client was, before all calls were begun */
  bool has_query;          /* "query" is set, and no call for it is begun */
  bool interrupted;        /* a step has raised: any call may be over */
  struct uq_call *held; /* by the rate limit, as the next would be; or NULL */
  struct uq_call *stepped; /* a step of it runs; or NULL */
  double done, failed;     /* results returned, failures among them */
  double started;          /* on uq_client_clock */
};

/* Makes the batch one without calls. */
void uq_batch_init(struct uq_batch *b, const struct uq_options *o);

/* True if no call is in the list. */
bool uq_batch_is_empty(const struct uq_link *list);

/* The first call of a list that has one. */
struct uq_call *uq_batch_first(const struct uq_link *list);

/* Makes the call free: it is over, and its results were taken. */
void uq_batch_recycle(struct uq_batch *b, struct uq_call *call);

/* Below, the batch is at 1, and uv is the index of its user value. */

/* Where the user value has the query of the call with that number. */
int uq_batch_query_index(int number);

/* Pushes the call object. */
void uqL_batch_push_call(lua_State *L, int uv, const struct uq_call *call);

/* Begins a call for the next query, unless a finalizer has done so. */
void uqL_batch_begin_next(lua_State *L, struct uq_batch *b, int uv);

/* Steps the calls that are due. */
void uqL_batch_step(lua_State *L, struct uq_batch *b, int uv);

/* Cancels the calls in flight: their results say so. */
void uq_batch_cancel(struct uq_batch *b);

/* Cancels the calls in flight, whose results are not needed, and begins no
** more. */
void uq_batch_stop(struct uq_batch *b);

#pragma GCC visibility pop

#endif
