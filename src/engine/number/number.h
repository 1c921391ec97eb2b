/*
** number.h - decimal numbers as text: the grammar, and conversion to and from
** a double, independent of the process locale. Knows no Lua and no curl.
** SPDX-License-Identifier: MIT
*/
#ifndef UQ_NUMBER_NUMBER_H
#define UQ_NUMBER_NUMBER_H

#include <stdbool.h>
#include <stddef.h>

#pragma GCC visibility push(hidden)

/* The length in bytes of the longest number at text, by the JSON grammar (RFC
** 8259, section 6); 0: none. Reads no byte at or after end. */
size_t uq_number_scan(const char *text, const char *end);

/* True if the whole text is one such number. */
bool uq_number_valid(const char *text, size_t len);

enum uq_number_status {
  UQ_NUMBER_OK,
  UQ_NUMBER_RANGE, /* too large, or not zero and yet too small, for a double */
  UQ_NUMBER_NOMEM
};

/* The double nearest to a valid number. */
enum uq_number_status uq_number_double(const char *text, size_t len,
                                       double *value);

/* Writes a double for messages, with at most so many significant digits and a
** point, whatever the locale. */
#define UQ_NUMBER_TEXT 32
void uq_number_text(double value, int digits, char text[UQ_NUMBER_TEXT]);

#pragma GCC visibility pop

#endif
