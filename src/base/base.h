/* SPDX-License-Identifier: MIT
 *
 * Macros used by all layers. */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include <stddef.h>

/* The result must not be ignored. */
#define MUST_CHECK __attribute__((warn_unused_result))

/* A printf-like function; the arguments are the positions of its format and of the first argument
 * to be formatted. */
#define PRINTF_LIKE(format_, first_) __attribute__((format(printf, format_, first_)))

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

#endif
