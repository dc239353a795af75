/* SPDX-License-Identifier: MIT
 *
 * A string: a pointer and a length in bytes. It does not own its data, is not necessarily
 * NUL-terminated, and may contain NUL bytes; {NULL, 0} is the empty string. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/base.h"

struct str {
    const char *data;
    size_t len;
};

/* Converts a string literal. */
#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})

/* Like STR, but for initializing static data. */
#define STR_INIT(literal)                                                                          \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    }

/* Converts a NUL-terminated string; NULL yields the empty string. */
static inline struct str str_from(const char *text)
{
    return (struct str){text, text == NULL ? 0 : strlen(text)};
}

bool str_equal(struct str a, struct str b);

/* Whether `text` is equal to one of a list. */
bool str_is_among(struct str text, const struct str *list, size_t len);

/* Compares bytewise: returns a negative number, 0 or a positive number, like memcmp(3). A prefix
 * sorts before the longer string. */
int str_compare(struct str a, struct str b);

/* Ignores the case of ASCII letters only. */
bool str_equal_ignore_case(struct str a, struct str b);

bool str_has_prefix(struct str text, struct str prefix);
bool str_has_suffix(struct str text, struct str suffix);

/* Removes spaces and tabs at both ends. */
struct str str_trim(struct str text);

/* Stores the part of *rest before the next `separator` (or all of it) in *part, and advances *rest
 * past it. Returns false if nothing is left, i.e. rest->data is NULL. */
bool str_split(struct str *rest, char separator, struct str *part);

/* Parses all of `text` as a decimal number. Returns false if it is not a number or too large. */
MUST_CHECK bool str_to_u64(struct str text, uint64_t *number);

#endif
