/* SPDX-License-Identifier: MIT
 *
 * A string as a pointer and a length, in bytes. It owns nothing, need not end in NUL and may hold
 * NUL bytes; {NULL, 0} is the empty string. */
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

/* A string literal as a struct str. */
#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})

/* The same as an initializer of static data. */
#define STR_INIT(literal)                                                                          \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    }

/* The NUL-terminated `text` (NULL: the empty string). */
static inline struct str str_from(const char *text)
{
    return (struct str){text, text == NULL ? 0 : strlen(text)};
}

bool str_equal(struct str a, struct str b);

/* Negative, 0 or positive, as memcmp(3): by bytes, a prefix before what it begins. */
int str_compare(struct str a, struct str b);

/* Equal but for the case of ASCII letters. */
bool str_equal_ignore_case(struct str a, struct str b);

bool str_has_prefix(struct str text, struct str prefix);
bool str_has_suffix(struct str text, struct str suffix);

/* `text` without the spaces and tabs at its ends. */
struct str str_trim(struct str text);

/* Takes the part of *rest before the next `separator` (or all of it) into *part and moves *rest
 * behind it. False when nothing was left: rest->data is NULL then. */
bool str_split(struct str *rest, char separator, struct str *part);

/* Reads all of `text` as a decimal number. False when it is no number or does not fit. */
MUST_CHECK bool str_to_u64(struct str text, uint64_t *number);

#endif
