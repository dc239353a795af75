/* SPDX-License-Identifier: MIT
 *
 * JSON merge patches (RFC 7396) that leave what they do not name byte for byte. */
#ifndef MODEL_MERGE_H
#define MODEL_MERGE_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/str.h"

/* Appends what a merge patch (RFC 7396) makes of `target`; both are checked, and in `patch` no
 * object has a member twice but the outermost one, where the last counts. What the patch does not
 * name stays byte for byte, and in its place; new members follow in the patch's order. */
void merge_patch(struct arena *arena, struct str target, struct str patch, struct buffer *out);

#endif
