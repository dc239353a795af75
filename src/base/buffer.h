/* SPDX-License-Identifier: MIT
 *
 * A growable run of bytes. Running out of memory (or of the given storage) is a sticky mark,
 * `failed`, to be looked at once, at the end; until then every append is safe and does nothing. */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include "base/base.h"
#include "base/str.h"

struct buffer {
    char *data;  /* owned, unless `fixed` */
    size_t len;  /* bytes in use */
    size_t cap;  /* bytes there are */
    bool fixed;  /* the storage is the caller's and does not grow */
    bool failed; /* an append did not fit: the content is incomplete */
};

/* A zeroed buffer is empty and ready. This one uses `storage` and never allocates. */
static inline struct buffer buffer_on(char *storage, size_t size)
{
    return (struct buffer){.data = storage, .cap = size, .fixed = true};
}

/* Room for `size` more bytes behind the content, or NULL (and `failed`). The caller fills it and
 * adds what it used to `len`. */
char *buffer_reserve(struct buffer *buffer, size_t size);

void buffer_append(struct buffer *buffer, const void *bytes, size_t size);
void buffer_append_str(struct buffer *buffer, struct str text);
void buffer_append_char(struct buffer *buffer, char c);
void buffer_append_u64(struct buffer *buffer, uint64_t number);
void buffer_printf(struct buffer *buffer, const char *format, ...) PRINTF_LIKE(2, 3);

/* The content; valid until the buffer changes. */
static inline struct str buffer_str(const struct buffer *buffer)
{
    return (struct str){buffer->data, buffer->len};
}

/* Empties the buffer and keeps at most `keep` bytes of memory for the next use. */
void buffer_reset(struct buffer *buffer, size_t keep);

/* Frees what it owns and zeroes it. */
void buffer_release(struct buffer *buffer);

#endif
