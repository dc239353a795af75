/* SPDX-License-Identifier: MIT */
#include "base/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { SMALLEST = 512 };

/* Grows the buffer to hold `size` more bytes. */
static bool grow(struct buffer *buffer, size_t size)
{
    size_t wanted;
    if (buffer->fixed || __builtin_add_overflow(buffer->len, size, &wanted))
        return false;
    size_t cap = buffer->cap < SMALLEST ? SMALLEST : buffer->cap;
    while (cap < wanted)
        if (__builtin_mul_overflow(cap, 2, &cap))
            return false;
    char *data = realloc(buffer->data, cap);
    if (data == NULL)
        return false;
    buffer->data = data;
    buffer->cap = cap;
    return true;
}

char *buffer_reserve(struct buffer *buffer, size_t size)
{
    if (buffer->failed)
        return NULL;
    if (buffer->data == NULL || buffer->cap - buffer->len < size)
        if (!grow(buffer, size)) {
            buffer->failed = true;
            return NULL;
        }
    return buffer->data + buffer->len;
}

void buffer_append(struct buffer *buffer, const void *bytes, size_t size)
{
    char *room = buffer_reserve(buffer, size);
    if (room == NULL || size == 0)
        return;
    memcpy(room, bytes, size);
    buffer->len += size;
}

void buffer_append_str(struct buffer *buffer, struct str text)
{
    buffer_append(buffer, text.data, text.len);
}

void buffer_append_char(struct buffer *buffer, char c)
{
    buffer_append(buffer, &c, 1);
}

void buffer_append_u64(struct buffer *buffer, uint64_t number)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    buffer_append(buffer, digits + at, sizeof digits - at);
}

void buffer_printf(struct buffer *buffer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *room = size < 0 ? NULL : buffer_reserve(buffer, (size_t)size + 1);
    if (room == NULL) {
        buffer->failed = true;
        return;
    }
    va_start(arguments, format);
    vsnprintf(room, (size_t)size + 1, format, arguments);
    va_end(arguments);
    buffer->len += (size_t)size;
}

void buffer_reset(struct buffer *buffer, size_t keep)
{
    buffer->len = 0;
    buffer->failed = false;
    if (!buffer->fixed && buffer->cap > keep)
        buffer_release(buffer);
}

void buffer_release(struct buffer *buffer)
{
    if (!buffer->fixed)
        free(buffer->data);
    *buffer = (struct buffer){0};
}
