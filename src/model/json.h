/* SPDX-License-Identifier: MIT
 *
 * JSON, strictly by RFC 8259. json-c accepts and silently changes what a faithful service must not
 * (NaN, single quotes, control characters in strings, integers beyond 64 bits, cut keys), so a
 * check of our own runs over the text first and says where the values lie; json-c then decodes
 * the typed ones. The only users of json-c are here. */
#ifndef MODEL_JSON_H
#define MODEL_JSON_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/base.h"
#include "base/buffer.h"
#include "base/str.h"

enum {
    JSON_DEPTH_MAX = 100 /* arrays and objects within each other, the outermost one included */
};

enum json_kind {
    JSON_NULL,
    JSON_BOOLEAN,
    JSON_INTEGER, /* a number with neither fraction nor exponent */
    JSON_REAL,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT
};

/* What is grammatical and still not fit to be stored; a set of bits. */
enum json_flaw {
    JSON_FLAW_SURROGATE = 1, /* a \u escape of half a surrogate pair: no reader can encode it */
    JSON_FLAW_RANGE = 2,     /* a real number beyond a double: readers make it Infinity */
    JSON_FLAW_DUPLICATE = 4 /* a member repeated within an object: readers differ in which counts */
};

/* A value within the scanned text, of which `text` is a part. */
struct json_value {
    enum json_kind kind;
    struct str text;
    unsigned flaws;       /* in it, at any depth */
    struct str duplicate; /* the first repeated member's decoded name, with JSON_FLAW_DUPLICATE */
};

/* A member of the outermost object that the caller asks for. */
struct json_member {
    struct str name;
    bool present;
    struct json_value value; /* of the last one, if the name is repeated */
};

enum json_status {
    JSON_OK,
    JSON_SYNTAX,   /* not JSON: `error` tells where */
    JSON_ENCODING, /* not UTF-8 */
    JSON_TOO_DEEP, /* more than JSON_DEPTH_MAX */
    JSON_NO_MEMORY
};

struct json_error {
    size_t offset; /* in bytes */
    const char *message;
};

/* Checks the whole of `text`, and finds its one value and, if that is an object, those of
 * `members` that it has. A flaw is no error here: it is noted where it was found. */
MUST_CHECK enum json_status json_scan(struct arena *arena, struct str text, struct json_value *root,
                                      struct json_member *members, size_t members_len,
                                      struct json_error *error);

/* The characters of a JSON string (kind JSON_STRING, no JSON_FLAW_SURROGATE) as UTF-8, in `arena`;
 * U+0000 included. Its data is NULL when there was no memory. */
MUST_CHECK struct str json_decode_string(struct arena *arena, struct str text);

/* The nearest double to a JSON number (kind JSON_INTEGER or JSON_REAL); infinite beyond its range.
 * `text` must be a part of a NUL-terminated text, as json_scan left it. */
double json_decode_number(struct str text);

#endif
