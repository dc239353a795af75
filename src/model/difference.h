/* SPDX-License-Identifier: MIT
 *
 * How two versions of an integration differ: by names, never by values. */
#ifndef MODEL_DIFFERENCE_H
#define MODEL_DIFFERENCE_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/str.h"

/* Appends the names of the members that differ, a JSON array, sorted by bytes: "name",
 * "description", "status", and those of the outermost members of the settings, as in
 * "settings.page_access_token". Of an empty document, and of one that is no integration, all
 * members are absent. If memory is lacking, appends an empty array and records it in the arena. */
void difference_append(struct arena *arena, struct str before, struct str after,
                       struct buffer *out);

#endif
