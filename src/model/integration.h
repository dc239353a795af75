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

enum {
    INTEGRATION_ID_MAX = 255 /* bytes */
};

struct integration {
    struct str id;       /* decoded */
    struct str document; /* compact JSON, members in the contract's order */
};

enum integration_outcome {
    INTEGRATION_OK,
    INTEGRATION_INVALID,    /* `detail` lists the faults (422) */
    INTEGRATION_UNREADABLE, /* not UTF-8, or nested too deep (400) */
    INTEGRATION_NO_MEMORY
};

/* What a body is held against. */
struct integration_rules {
    bool is_json;       /* the request's Content-Type named JSON */
    struct str path_id; /* the id the body must have; empty: any */
};

/* Reads an integration from a request's body. It lives in `arena`. The faults go to `detail` as
 * the JSON array of the contract, one entry a fault; they repeat nothing of the body but the
 * name of a repeated member. */
MUST_CHECK enum integration_outcome integration_parse(struct arena *arena, struct str body,
                                                      const struct integration_rules *rules,
                                                      struct integration *integration,
                                                      struct buffer *detail);

/* Whether an integration can have this id, and a path name it: 1 to 255 bytes of UTF-8, no control
 * character, and no "." or ".." between slashes or alone (clients and web servers take those out of
 * a path, RFC 3986, section 5.2.4, encoded ones too). */
bool integration_id_is_valid(struct str id);

#endif
