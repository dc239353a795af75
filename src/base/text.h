/* SPDX-License-Identifier: MIT
 *
 * Text processing: UTF-8, percent-encoding, and the only escaping function for JSON strings. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/str.h"

/* Whether `text` is well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates, nothing above
 * U+10FFFF). */
bool text_is_utf8(struct str text);

/* Whether `text`, which must be UTF-8, contains a control character (Unicode category Cc: U+0000 to
 * U+001F and U+007F to U+009F). */
bool text_has_control(struct str text);

/* Extracts the next byte of a percent-encoded text from *rest, which must not be empty (RFC 3986,
 * section 2.1). A '%' that is not followed by two hex digits stands for itself. */
unsigned char text_percent_next(struct str *rest);

/* Decodes %XX in part of a URI, once. The result is `text` itself if nothing was encoded, otherwise
 * it is in `arena`; its data is NULL if memory is lacking. */
MUST_CHECK struct str text_percent_decode(struct arena *arena, struct str text);

/* Appends `text` in a form for comparison regardless of case and of how accents are encoded: case
 * folded (The Unicode Standard, section 3.13) and composed (NFC, Unicode Standard Annex #15). What
 * is not UTF-8 is appended with only ASCII letters in lower case. */
void text_append_folded(struct buffer *buffer, struct str text);

/* Appends `text` as a quoted JSON string (RFC 8259, section 7). The result is safe in any JSON
 * document and on a single log line, whatever the bytes. Invalid UTF-8 becomes U+FFFD. */
void text_append_json(struct buffer *buffer, struct str text);

#endif
