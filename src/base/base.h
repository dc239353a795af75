/* SPDX-License-Identifier: MIT
 *
 * Words that every floor uses. */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include <stddef.h>

/* An outcome that must be looked at. */
#define MUST_CHECK __attribute__((warn_unused_result))

/* A printf-like function: `format` and `first` are the positions of the format and of its first
 * argument. */
#define PRINTF_LIKE(format_, first_) __attribute__((format(printf, format_, first_)))

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

#endif
