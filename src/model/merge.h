/* SPDX-License-Identifier: MIT
 *
 * JSON merge patches (RFC 7396) that preserve everything they do not mention byte for byte. */
#ifndef MODEL_MERGE_H
#define MODEL_MERGE_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/str.h"

/* Appends the result of applying a merge patch (RFC 7396) to `target`. Both must have been
 * validated, and no object in `patch` may have repeated members, except the outermost one, where
 * the last one counts. Members that the patch does not mention keep their bytes and their position;
 * new members follow in the order of the patch. */
void merge_patch(struct arena *arena, struct str target, struct str patch, struct buffer *out);

#endif
