/* SPDX-License-Identifier: MIT
 *
 * The resource: {"id", "name", "description", "status", "settings"}, read from a request's body and
 * kept as the document that GET answers. */
#ifndef MODEL_INTEGRATION_H
#define MODEL_INTEGRATION_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/base.h"
#include "base/buffer.h"
#include "base/str.h"
#include "model/fault.h"
#include "model/json.h"

enum {
    INTEGRATION_ID_MAX = 255 /* bytes */
};

/* The members, in the contract's order. */
enum integration_field {
    INTEGRATION_ID,
    INTEGRATION_NAME,
    INTEGRATION_DESCRIPTION,
    INTEGRATION_STATUS,
    INTEGRATION_SETTINGS,
    INTEGRATION_FIELDS
};

extern const struct str integration_field_names[INTEGRATION_FIELDS];

struct integration {
    struct str id;       /* decoded */
    struct str document; /* compact JSON, members in the contract's order */
};

enum integration_outcome {
    INTEGRATION_OK,
    INTEGRATION_INVALID,    /* `faults` lists what is wrong (422) */
    INTEGRATION_UNREADABLE, /* not UTF-8, or nested too deep (400) */
    INTEGRATION_NO_MEMORY
};

/* What a body is held against. */
struct integration_rules {
    bool is_json;             /* the request's Content-Type named JSON */
    struct str path_id;       /* the id the body must have; empty: any */
    struct fault_place place; /* where it stands; of a zeroed one: it is the body */
};

/* Reads an integration from a request's body. It lives in `arena`. What is wrong with it is added
 * to `faults`, in the order of the members; nothing of the body is repeated there but the name of a
 * repeated member. */
MUST_CHECK enum integration_outcome integration_parse(struct arena *arena, struct str body,
                                                      const struct integration_rules *rules,
                                                      struct integration *integration,
                                                      struct faults *faults);

/* Reads a body that is no integration but an object with these members, with the same outcomes. */
MUST_CHECK enum integration_outcome
integration_read_object(struct arena *arena, struct str body, const struct integration_rules *rules,
                        struct json_value *root, struct json_member *members, size_t members_len,
                        struct faults *faults);

/* Reads what a merge patch (RFC 7396) makes of the integration that `document` is. It and its
 * faults are as integration_parse would say of the result. */
MUST_CHECK enum integration_outcome integration_patch(struct arena *arena, struct str document,
                                                      struct str patch,
                                                      const struct integration_rules *rules,
                                                      struct integration *integration,
                                                      struct faults *faults);

/* Finds the values in a document, as JSON, without checking it again. False: there was no memory,
 * or it is none (an administrator may have written it into a database). */
MUST_CHECK bool integration_split(struct arena *arena, struct str document,
                                  struct str values[INTEGRATION_FIELDS]);

/* Reads a word as the contract reads a status that is a string. */
bool integration_status_from(struct str word, bool *status);

/* Whether an integration can have this id, and a path name it: 1 to 255 bytes of UTF-8, no control
 * character, and no "." or ".." between slashes or alone (clients and web servers take those out of
 * a path, RFC 3986, section 5.2.4, encoded ones too). */
bool integration_id_is_valid(struct str id);

#endif
