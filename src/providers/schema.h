/* SPDX-License-Identifier: MIT
 *
 * What the settings of a provider look like: a JSON Schema (draft 2020-12) of which this much is
 * understood, and anything else refused rather than ignored:
 *
 *   type                  one of string, integer, number, boolean, object and array
 *   properties, required, additionalProperties (true, false, or a schema)
 *   items, minItems, maxItems
 *   enum                  of strings
 *   minLength, maxLength, pattern (what ECMAScript and POSIX extended regular expressions mean
 *                         alike: no escaped letters or digits, no "(?", no backslash in brackets; a
 * text of more than SCHEMA_MATCHED_MAX bytes matches nothing) minimum, maximum writeOnly the texts
 * in it are secret, see schema_is_secret $schema, $id, $comment, title, description, default,
 * examples, format, deprecated, readOnly, and names that begin with "x-": have no effect here */
#ifndef PROVIDERS_SCHEMA_H
#define PROVIDERS_SCHEMA_H

#include "base/arena.h"
#include "base/buffer.h"
#include "model/fault.h"

enum { SCHEMA_MATCHED_MAX = 4096, SCHEMA_FAULTS_MAX = 100 };

struct schema;

/* Reads a schema of an object, for the caller to release; it is in the arena. On failure returns
 * NULL with where (a JSON pointer, RFC 6901) and what is wrong in `fault`. */
MUST_CHECK const struct schema *schema_read(struct arena *arena, struct str text,
                                            struct buffer *fault);

/* Frees what is not in the arena. */
void schema_release(const struct schema *schema);

/* Its title and description, decoded; empty: none. */
struct str schema_title(const struct schema *schema);
struct str schema_description(const struct schema *schema);

/* Whether a text at a path (see model/json_texts.h) is secret: writeOnly says so, of the text or of
 * what it is in; or the schema does not describe a text there, and nothing that it is in says that
 * it is not (writeOnly: false). */
bool schema_is_secret(const struct schema *schema, struct str path);

/* Checks validated JSON that is followed by a NUL; adds a fault for each part that does not fit, up
 * to SCHEMA_FAULTS_MAX in the list. They quote nothing of it but names of members. */
void schema_check(const struct schema *schema, struct str value, const struct fault_place *place,
                  struct faults *faults);

#endif
