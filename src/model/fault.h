/* SPDX-License-Identifier: MIT
 *
 * A fault of a request, as the contract lists them: {"loc":["body","name"],"msg":…,"type":…}. */
#ifndef MODEL_FAULT_H
#define MODEL_FAULT_H

#include "base/buffer.h"
#include "base/str.h"

/* Appends the beginning of one: `where` is "body" or "query". Further steps of the place may
 * follow, each JSON behind a comma; then the end. */
void fault_begin(struct buffer *out, const char *where);

/* Appends a member's name as such a step. */
void fault_append_step(struct buffer *out, struct str name);

void fault_end(struct buffer *out, struct str message, const char *type);

#endif
