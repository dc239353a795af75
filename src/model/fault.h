/* SPDX-License-Identifier: MIT
 *
 * Faults in a request, kept as values: location, message and type. They are rendered once, at the
 * end, in the format that the client understands. */
#ifndef MODEL_FAULT_H
#define MODEL_FAULT_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/str.h"

enum {
    FAULT_STEPS_MAX = 12 /* such as "operations", 3, "integration", "name" */
};

/* A step into a document: the name of a member or, if its data is NULL, an index or offset. */
struct fault_step {
    struct str name;
    size_t number;
};

/* A location in a request. */
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

/* A list of faults. If zeroed except for `arena`, it is empty and ready for use. */
struct faults {
    struct arena *arena; /* holds the list */
    struct fault *list;
    size_t len;
    size_t cap;
};

/* Return the place one step further down. More than FAULT_STEPS_MAX steps is a programming
 * error. */
struct fault_place fault_place_member(const struct fault_place *place, struct str name);
struct fault_place fault_place_number(const struct fault_place *place, size_t number);

/* Adds a fault. The names in `place`, `message` and `type` must live as long as the list. Lack of
 * memory is recorded in the arena. */
void faults_add(struct faults *faults, const struct fault_place *place, struct str message,
                const char *type);

/* Appends the list in the API's format: [{"loc":["body","name"],"msg":…,"type":…}, …]. */
void faults_append_json(struct buffer *out, const struct faults *faults);

#endif
