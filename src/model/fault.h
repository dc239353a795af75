/* SPDX-License-Identifier: MIT
 *
 * What is wrong with a request, as values: where, in which words, of which type. They are written
 * once, at the end, in the form that whoever is told understands. */
#ifndef MODEL_FAULT_H
#define MODEL_FAULT_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/str.h"

enum {
    FAULT_STEPS_MAX = 4 /* "operations", 3, "integration", "name" */
};

/* A step into a document: a member's name; or, if its data is NULL, an index or an offset. */
struct fault_step {
    struct str name;
    size_t number;
};

/* Where something is. */
struct fault_place {
    const char *root; /* "body" or "query" */
    struct fault_step steps[FAULT_STEPS_MAX];
    size_t steps_len;
};

struct fault {
    struct fault_place place;
    struct str message;
    const char *type;
};

/* A zeroed list with an arena is empty and ready. */
struct faults {
    struct arena *arena; /* the list lives there */
    struct fault *list;
    size_t len;
    size_t cap;
};

/* The place one step further. More than FAULT_STEPS_MAX is a programming error. */
struct fault_place fault_place_member(const struct fault_place *place, struct str name);
struct fault_place fault_place_number(const struct fault_place *place, size_t number);

/* Notes a fault. The names of its place, `message` and `type` must live as long as the list. When
 * there is no memory the arena says so. */
void faults_add(struct faults *faults, const struct fault_place *place, struct str message,
                const char *type);

/* Appends the list as the contract has it: [{"loc":["body","name"],"msg":…,"type":…}, …]. */
void faults_append_json(struct buffer *out, const struct faults *faults);

#endif
