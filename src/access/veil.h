/* SPDX-License-Identifier: MIT
 *
 * Veils numbers that count what happens in a whole store, such as revisions: a caller who may know
 * of some integrations only would learn from them how much others are changed. What is veiled has
 * the same text each time, can be read back, and cannot be made by anybody else (a synthetic
 * initialization vector, as in RFC 5297, of libsodium's BLAKE2b and XSalsa20). */
#ifndef ACCESS_VEIL_H
#define ACCESS_VEIL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/str.h"

enum { VEIL_KEY_LEN = 32, VEIL_LEN = 64 /* hexadecimal digits */ };

struct veil {
    uint8_t of_tags[VEIL_KEY_LEN];
    uint8_t of_numbers[VEIL_KEY_LEN];
};

struct veil_numbers {
    uint64_t first;
    uint64_t second;
};

/* Derives what is needed from a random key. */
void veil_open(struct veil *veil, const uint8_t key[VEIL_KEY_LEN]);

/* Appends VEIL_LEN digits. */
void veil_append(const struct veil *veil, struct veil_numbers numbers, struct buffer *out);

/* Append and read numbers likewise, but with another text each time, so that nobody can tell
 * whether they have changed: twice VEIL_LEN digits. */
void veil_append_once(const struct veil *veil, struct veil_numbers numbers, struct buffer *out);
MUST_CHECK bool veil_read_once(const struct veil *veil, struct str text,
                               struct veil_numbers *numbers);

/* Reads what veil_append wrote; returns false if it did not. */
MUST_CHECK bool veil_read(const struct veil *veil, struct str text, struct veil_numbers *numbers);

#endif
