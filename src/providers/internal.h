/* SPDX-License-Identifier: MIT
 *
 * A schema as it is kept. */
#ifndef PROVIDERS_INTERNAL_H
#define PROVIDERS_INTERNAL_H

#include <regex.h>

#include "providers/schema.h"

enum schema_type {
    SCHEMA_ANY,
    SCHEMA_STRING,
    SCHEMA_INTEGER,
    SCHEMA_NUMBER,
    SCHEMA_BOOLEAN,
    SCHEMA_OBJECT,
    SCHEMA_ARRAY,
    SCHEMA_TYPES
};

enum schema_secrecy { SECRECY_UNSAID, SECRECY_SECRET, SECRECY_OPEN };

/* Bounds of a length, or of a number of items. */
struct schema_range {
    uint64_t least;
    uint64_t most;
};

struct schema_texts {
    struct str *list;
    size_t len;
};

/* The members of an object that are not among its properties. */
struct schema_others {
    bool none;                   /* there may be none */
    const struct schema *schema; /* what they are; NULL: not described */
};

struct schema_property {
    struct str name;
    const struct schema *schema;
    const struct schema_property *next;
};

/* A compiled pattern. */
struct schema_pattern {
    regex_t regex;
    struct schema_pattern *next;
};

struct schema {
    enum schema_type type;
    enum schema_secrecy secrecy;
    struct str title;
    struct str description;
    const struct schema_property *properties;
    struct schema_texts required;
    struct schema_others others;
    const struct schema *items; /* NULL: not described */
    struct schema_range items_len;
    struct schema_texts choices;     /* len 0: any */
    struct schema_range text_len;    /* in characters */
    const regex_t *pattern;          /* NULL: none */
    struct schema_pattern *patterns; /* of the outermost schema: all there are in it */
    double least;
    double most;
};

/* Whether JSON is a number. */
bool schema_is_number(struct str value);

/* What an object's member is; NULL: it is not described. */
const struct schema *schema_member(const struct schema *schema, struct str name);

#endif
