/*
** option_values.h - readers of option values, one for each kind.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_OPTION_VALUES_H
#define UQ_OPTION_VALUES_H

#include "binding/option_reading.h"

#pragma GCC visibility push(hidden)

uqL_option_reader uqL_read_text;     /* const char *: a string that passes the
                                        check; the client keeps it */
uqL_option_reader uqL_read_value;    /* char[]: the same, copied; of a call it
                                        may be refused, and is "" then */
uqL_option_reader uqL_read_seconds;  /* double, from min to max */
uqL_option_reader uqL_read_whole;    /* int, from min to max */
uqL_option_reader uqL_read_choice;   /* int: an index into the names */
uqL_option_reader uqL_read_switch;   /* bool */
uqL_option_reader uqL_read_function; /* checked only: Lua code calls it */

/* Of clients only. */
uqL_option_reader uqL_read_hook;      /* a function, kept in the user value */
uqL_option_reader uqL_read_token;     /* a string, or a function as above */
uqL_option_reader uqL_read_api_key;   /* a secret: copied, never a Lua string */
uqL_option_reader uqL_read_store;     /* the methods of a token store */
uqL_option_reader uqL_read_transport; /* a function or callable, the same */
uqL_option_reader uqL_read_clock;     /* its functions, the same */
uqL_option_reader uqL_read_app;       /* const char *: appended to User-Agent */

#pragma GCC visibility pop

#endif
