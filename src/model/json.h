/* SPDX-License-Identifier: MIT
 *
 * JSON according to RFC 8259, strictly. json-c accepts and silently changes input that must be
 * rejected or preserved (NaN, single quotes, control characters in strings, integers beyond 64
 * bits, truncated keys). So a scanner of our own first validates the text and locates the values;
 * json-c only decodes strings. Nothing else in the program uses json-c.
 *
 * Limits: JSON_DEPTH_MAX. */
#ifndef MODEL_JSON_H
#define MODEL_JSON_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/base.h"
#include "base/buffer.h"
#include "base/str.h"

enum {
    JSON_DEPTH_MAX = 100 /* nesting of arrays and objects, including the outermost one */
};

enum json_kind {
    JSON_NULL,
    JSON_BOOLEAN,
    JSON_INTEGER, /* without fraction and exponent */
    JSON_REAL,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT
};

/* Flaws of text that is valid JSON but not fit to be stored; a bit set. */
enum json_flaw {
    JSON_FLAW_SURROGATE = 1, /* \u escape of half a surrogate pair: cannot be encoded */
    JSON_FLAW_RANGE = 2, /* a real number that overflows a double: readers take it for Infinity */
    /* A repeated member in an object: readers differ in which one counts. */
    JSON_FLAW_DUPLICATE = 4
};

/* A value; `text` is the part of the scanned text that it consists of. */
struct json_value {
    enum json_kind kind;
    struct str text;
    unsigned flaws; /* found in it at any depth */
    /* With JSON_FLAW_DUPLICATE: decoded name of the first repeated member. */
    struct str duplicate;
};

/* A member of the outermost object that the caller asks for. */
struct json_member {
    struct str name;
    bool present;
    struct json_value value; /* if the name is repeated, that of the last one */
};

enum json_status {
    JSON_OK,
    JSON_SYNTAX,   /* not JSON, see `error` */
    JSON_ENCODING, /* not UTF-8 */
    JSON_TOO_DEEP, /* nested deeper than JSON_DEPTH_MAX */
    JSON_NO_MEMORY
};

struct json_error {
    size_t offset; /* in bytes */
    const char *message;
};

/* Validates `text`, and locates its value and, if that is an object, those of `members` that it
 * has. Flaws are not errors here: they are recorded in the value that contains them. */
MUST_CHECK enum json_status json_scan(struct arena *arena, struct str text, struct json_value *root,
                                      struct json_member *members, size_t members_len,
                                      struct json_error *error);

/* Decodes a JSON string (kind JSON_STRING, without JSON_FLAW_SURROGATE) to UTF-8 in `arena`; it may
 * contain U+0000. The result's data is NULL if memory is lacking. */
MUST_CHECK struct str json_decode_string(struct arena *arena, struct str text);

/* Returns the double nearest to a JSON number (kind JSON_INTEGER or JSON_REAL), or infinity if it
 * is out of range. `text` must be part of a NUL-terminated text, as returned by json_scan. */
double json_decode_number(struct str text);

#endif
