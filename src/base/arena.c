/* SPDX-License-Identifier: MIT */
#include "base/arena.h"

#include <stdalign.h>
#include <stdlib.h>

enum { CHUNK_SIZE = 16 * 1024 };

struct arena_chunk {
    struct arena_chunk *next;
    size_t size; /* of data */
    size_t used;
    alignas(max_align_t) char data[];
};

static struct arena_chunk *add_chunk(struct arena *arena, size_t size)
{
    size_t total;
    if (size < CHUNK_SIZE)
        size = CHUNK_SIZE;
    if (__builtin_add_overflow(sizeof(struct arena_chunk), size, &total))
        return NULL;
    struct arena_chunk *chunk = malloc(total);
    if (chunk == NULL)
        return NULL;
    *chunk = (struct arena_chunk){.next = arena->chunks, .size = size};
    arena->chunks = chunk;
    return chunk;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    const size_t align = alignof(max_align_t);
    struct arena_chunk *chunk = arena->chunks;
    if (size > SIZE_MAX - align) {
        arena->failed = true;
        return NULL;
    }
    size = (size + align - 1) / align * align;
    if (chunk == NULL || chunk->size - chunk->used < size)
        chunk = add_chunk(arena, size);
    if (chunk == NULL) {
        arena->failed = true;
        return NULL;
    }
    void *memory = chunk->data + chunk->used;
    chunk->used += size;
    return memory;
}

struct str arena_copy(struct arena *arena, struct str text)
{
    char *copy = arena_alloc(arena, text.len + 1);
    if (copy == NULL)
        return (struct str){NULL, 0};
    if (text.len > 0)
        memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    return (struct str){copy, text.len};
}

/* Frees `chunk` and all older chunks. */
static void free_chunks(struct arena_chunk *chunk)
{
    while (chunk != NULL) {
        struct arena_chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
}

void arena_reset(struct arena *arena)
{
    struct arena_chunk *chunk = arena->chunks;
    arena->failed = false;
    if (chunk == NULL)
        return;
    if (chunk->size > CHUNK_SIZE) {
        arena_release(arena);
        return;
    }
    free_chunks(chunk->next);
    chunk->next = NULL;
    chunk->used = 0;
}

void arena_release(struct arena *arena)
{
    free_chunks(arena->chunks);
    *arena = (struct arena){0};
}
