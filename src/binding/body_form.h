/*
** body_form.h - tells a result from an error that came with a success status.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_BODY_FORM_H
#define UQ_BODY_FORM_H

#include "binding/compat.h"

#pragma GCC visibility push(hidden)

struct uq_endpoint;

enum uq_body_form {
  UQ_BODY_RESULT,
  UQ_BODY_ERROR,
  UQ_BODY_WRAPPED /* {code, message, data}, as other generations of the API
                     answer, and no error */
};

/* What the decoded body at the top, of a success status, is. It is an error if
** its code is 400 or more, if it has `error` or `message` in place of the data,
** or if it reports a failure beside the data. *status: the HTTP status that an
** error counts as; 0: its body does not say. */
enum uq_body_form uqL_body_form(lua_State *L, const struct uq_endpoint *e,
                                int *status);

#pragma GCC visibility pop

#endif
