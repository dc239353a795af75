/* SPDX-License-Identifier: MIT
 *
 * Regular expressions of schemas: those that ECMAScript, which JSON Schema asks for and browsers
 * have, and POSIX extended ones mean alike. */
#ifndef PROVIDERS_PATTERN_H
#define PROVIDERS_PATTERN_H

#include <regex.h>
#include <stdbool.h>

#include "base/base.h"
#include "base/str.h"

/* Compiles a pattern, which is followed by a NUL, for the caller to free (regfree). Returns false
 * if it is none, or may mean different things: escaped letters or digits, "(?", two quantifiers in
 * a row, backslashes or "[" in brackets. */
MUST_CHECK bool pattern_compile(struct str text, regex_t *pattern);

/* Whether it matches somewhere in a text; one that is longer than SCHEMA_MATCHED_MAX is not. */
bool pattern_matches(const regex_t *pattern, struct str text);

#endif
