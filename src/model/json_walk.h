/* SPDX-License-Identifier: MIT
 *
 * Iterates over validated JSON (see json_scan): locates elements without interpreting them. */
#ifndef MODEL_JSON_WALK_H
#define MODEL_JSON_WALK_H

#include <stdbool.h>

#include "base/buffer.h"
#include "base/str.h"

/* Appends validated JSON without insignificant white space. */
void json_walk_compact(struct buffer *buffer, struct str text);

/* Returns the end of the array or object element at `at`: the next comma or closing bracket that is
 * not part of a string or a nested value, or `end`. The text need not be valid. */
const char *json_walk_end(const char *at, const char *end);

/* Counts the elements of a validated array or object. */
size_t json_walk_count(struct str text);

/* Extracts the next element from *rest, initially the text of a validated array or object: its
 * value and, in an object, its name as written. Returns false at the end. */
bool json_walk_next(struct str *rest, struct str *name, struct str *value);

#endif
