/* SPDX-License-Identifier: MIT
 *
 * Walks through JSON that has been checked (json_scan): what it holds is found, and not looked at.
 */
#ifndef MODEL_JSON_WALK_H
#define MODEL_JSON_WALK_H

#include <stdbool.h>

#include "base/buffer.h"
#include "base/str.h"

/* Appends checked JSON without its insignificant white space. */
void json_walk_compact(struct buffer *buffer, struct str text);

/* The end of the element at `at`, of an array or an object: the next comma or closing bracket that
 * is in no string and no other value, or `end`. What lies between need not be checked. */
const char *json_walk_end(const char *at, const char *end);

/* Takes the next element off *rest, which was the text of a checked array or object: its value and,
 * in an object, its name as it stands there. False at the end. */
bool json_walk_next(struct str *rest, struct str *name, struct str *value);

#endif
