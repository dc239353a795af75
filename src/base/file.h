/* SPDX-License-Identifier: MIT
 *
 * Reading small files whole, which people write. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stddef.h>

#include "base/buffer.h"

/* Opens a file to be read; nobody waits for it, even if it is a FIFO. Returns -1 with errno set if
 * that fails. */
int file_open(const char *path);

/* Appends an open file. Returns NULL, or what is wrong; of one that is longer than `most` bytes,
 * says `too_long`. */
MUST_CHECK const char *file_read(int fd, size_t most, const char *too_long, struct buffer *text);

/* The same, of a file that not everybody may write to. */
MUST_CHECK const char *file_read_guarded(int fd, size_t most, const char *too_long,
                                         struct buffer *text);

#endif
