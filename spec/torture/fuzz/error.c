/*
** error.c - answer.c with statuses of failure.
** SPDX-License-Identifier: MIT
*/
#define ERRORS
#include "answer.c"
