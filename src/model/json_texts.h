/* SPDX-License-Identifier: MIT
 *
 * Visits the strings of a JSON document that are values, at any depth, each with its path: the
 * names of the members that lead to it, decoded, and a mark for each array on the way (which
 * element it is does not count). Two paths are equal if their bytes are.
 *
 * Limits: JSON_DEPTH_MAX. */
#ifndef MODEL_JSON_TEXTS_H
#define MODEL_JSON_TEXTS_H

#include "model/json.h"

/* An array or object that the walk is in. */
struct json_texts_level {
    bool is_object;
    size_t path_len; /* of the array or object itself */
};

struct json_texts {
    struct arena *arena; /* for names that have escapes */
    struct str text;
    size_t at;
    size_t depth;
    bool expects_name;
    bool failed; /* too deep, or memory is lacking: some were not visited */
    struct buffer path;
    struct json_texts_level levels[JSON_DEPTH_MAX];
};

/* Begins to walk through valid JSON. */
void json_texts_open(struct json_texts *texts, struct str text, struct arena *arena);

/* Finds the next string, and stores it as it stands there, with its quotes. Its path is texts->path
 * until the next call. Returns false at the end. */
bool json_texts_next(struct json_texts *texts, struct str *value);

/* The name of the outermost member that the current string is in; empty: it is in none. */
struct str json_texts_member(const struct json_texts *texts);

/* Extracts the next step of a path: the name of a member or, if its data is NULL, into an array.
 * Returns false at the end. */
bool json_texts_step(struct str *path, struct str *name);

void json_texts_close(struct json_texts *texts);

#endif
