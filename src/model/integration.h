/* SPDX-License-Identifier: MIT
 *
 * The resource: {"id", "name", "description", "status", "settings"}, parsed from a request body and
 * stored as the document that GET returns.
 *
 * Limits: INTEGRATION_ID_MAX. */
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
    INTEGRATION_ID_MAX = 255 /* in bytes */
};

/* The members, in the order of the API. */
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
    struct str document; /* compact JSON, members in the order of the API */
};

enum integration_outcome {
    INTEGRATION_OK,
    INTEGRATION_INVALID,    /* see `faults` (422) */
    INTEGRATION_UNREADABLE, /* not UTF-8, or nested too deeply (400) */
    INTEGRATION_NO_MEMORY
};

/* How to check a body. */
struct integration_rules {
    bool is_json;             /* the request's Content-Type is JSON */
    struct str path_id;       /* the id that the body must have; empty: any */
    struct fault_place place; /* location of the integration, for faults; zeroed: the whole body */
};

/* Parses an integration from a request body; the result is in `arena`. Adds faults to `faults`, in
 * the order of the members. They quote nothing from the body except the name of a repeated
 * member. */
MUST_CHECK enum integration_outcome integration_parse(struct arena *arena, struct str body,
                                                      const struct integration_rules *rules,
                                                      struct integration *integration,
                                                      struct faults *faults);

/* Parses a body that is not an integration, but an object with the given members; same outcomes. */
MUST_CHECK enum integration_outcome
integration_read_object(struct arena *arena, struct str body, const struct integration_rules *rules,
                        struct json_value *root, struct json_member *members, size_t members_len,
                        struct faults *faults);

/* Applies a merge patch (RFC 7396) to the integration in `document` and parses the result. Outcomes
 * and faults are those of integration_parse for the result. */
MUST_CHECK enum integration_outcome integration_patch(struct arena *arena, struct str document,
                                                      struct str patch,
                                                      const struct integration_rules *rules,
                                                      struct integration *integration,
                                                      struct faults *faults);

/* Finds the JSON values of the members of a document, without validating it again. Returns false if
 * memory is lacking, or if it is not an integration (an administrator may have edited the
 * database). */
MUST_CHECK bool integration_split(struct arena *arena, struct str document,
                                  struct str values[INTEGRATION_FIELDS]);

/* The decoded id of a document; its data is NULL where integration_split returns false. */
struct str integration_id(struct arena *arena, struct str document);

/* Parses a status given as a string. Returns false if it is not one of the accepted words. */
bool integration_status_from(struct str word, bool *status);

/* Whether an integration can have this id, and a path can contain it: 1 to 255 bytes of UTF-8
 * without control characters, and without "." or ".." as one of its parts separated by slashes
 * (clients and web servers remove those from paths, even if encoded; RFC 3986, section 5.2.4). */
bool integration_id_is_valid(struct str id);

#endif
