/* SPDX-License-Identifier: MIT
 *
 * An arena: many small allocations that are freed all at once, typically those of one request. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/base.h"
#include "base/str.h"

struct arena_chunk;

/* If zeroed, it is empty and ready for use. */
struct arena {
    struct arena_chunk *chunks; /* newest first */
    bool failed;                /* an allocation has failed since the last reset */
};

/* Allocates `size` bytes, aligned for any type and not zeroed, which live until the reset. If
 * memory is lacking, returns NULL and sets `failed`. */
MUST_CHECK void *arena_alloc(struct arena *arena, size_t size);

/* Returns a copy of `text` followed by a NUL byte. If memory is lacking, returns an empty string
 * whose data is NULL. */
MUST_CHECK struct str arena_copy(struct arena *arena, struct str text);

/* Frees all allocations, but keeps one chunk for the next request. */
void arena_reset(struct arena *arena);

/* Frees everything. */
void arena_release(struct arena *arena);

#endif
