/* SPDX-License-Identifier: MIT
 *
 * The memory of one request: many small allocations, freed all at once. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/base.h"
#include "base/str.h"

struct arena_chunk;

/* A zeroed arena is empty and ready. */
struct arena {
    struct arena_chunk *chunks; /* the newest first */
    bool failed;                /* an allocation failed since the last reset */
};

/* `size` bytes, aligned for any type, not zeroed; they live until the reset. NULL (and `failed`)
 * when there is no memory. */
MUST_CHECK void *arena_alloc(struct arena *arena, size_t size);

/* A copy of `text` followed by a NUL byte, or the empty string with data == NULL. */
MUST_CHECK struct str arena_copy(struct arena *arena, struct str text);

/* Ends the life of all allocations; one chunk is kept for the next request. */
void arena_reset(struct arena *arena);

/* Frees everything. */
void arena_release(struct arena *arena);

#endif
