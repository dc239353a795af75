/* SPDX-License-Identifier: MIT
 *
 * The form of an API key: "isk_", 43 random characters and 6 that are a checksum of all before
 * them, all of the last two in base 62 (0-9, A-Z, a-z, most significant first). The random part has
 * 256 bits. The checksum is CRC-32 (ISO/IEC 13239, the one of zip), so programs that look for
 * leaked secrets can tell a key from other text: isk_[0-9A-Za-z]{49}. */
#ifndef ACCESS_KEY_H
#define ACCESS_KEY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"
#include "base/str.h"

enum { KEY_LEN = 53, KEY_DIGEST_LEN = 32 };

/* Writes a new random key, NUL-terminated. */
void key_make(char text[KEY_LEN + 1]);

/* Whether a text has the form of a key, with the right checksum. */
bool key_has_form(struct str text);

/* The SHA-256 of the text, by which a key is stored. A slow hash is for what people make up: nobody
 * guesses 256 random bits. */
void key_digest(struct str text, uint8_t digest[KEY_DIGEST_LEN]);

#endif
