/* SPDX-License-Identifier: MIT
 *
 * A growable byte buffer. If memory (or the storage given) runs out, `failed` is set and stays set,
 * so it is enough to check it once, at the end. Appending to a failed buffer is safe and has no
 * effect. */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include "base/base.h"
#include "base/str.h"

struct buffer {
    char *data;  /* owned, unless `fixed` */
    size_t len;  /* bytes in use */
    size_t cap;  /* bytes allocated */
    bool fixed;  /* the caller's storage, which does not grow */
    bool failed; /* an append did not fit: the content is incomplete */
};

/* Returns a buffer that uses `storage` and never allocates. (A zeroed buffer is ready for use too:
 * it is empty, and allocates.) */
static inline struct buffer buffer_on(char *storage, size_t size)
{
    return (struct buffer){.data = storage, .cap = size, .fixed = true};
}

/* Returns space for `size` more bytes after the content. The caller writes to it and adds the
 * number of bytes written to `len`. On failure returns NULL and sets `failed`. */
char *buffer_reserve(struct buffer *buffer, size_t size);

void buffer_append(struct buffer *buffer, const void *bytes, size_t size);
void buffer_append_str(struct buffer *buffer, struct str text);
void buffer_append_char(struct buffer *buffer, char c);
void buffer_append_u64(struct buffer *buffer, uint64_t number);
void buffer_printf(struct buffer *buffer, const char *format, ...) PRINTF_LIKE(2, 3);

/* Returns the content; valid until the buffer changes. */
static inline struct str buffer_str(const struct buffer *buffer)
{
    return (struct str){buffer->data, buffer->len};
}

/* Empties the buffer and clears `failed`. Keeps the memory for reuse if it is at most `keep`
 * bytes. */
void buffer_reset(struct buffer *buffer, size_t keep);

/* Frees the memory it owns and zeroes the buffer. */
void buffer_release(struct buffer *buffer);

#endif
