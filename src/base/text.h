/* SPDX-License-Identifier: MIT
 *
 * Text as bytes: UTF-8, percent-encoding, and the one escaper for JSON strings. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/str.h"

/* Whether `text` is well-formed UTF-8 (RFC 3629: no overlong form, no surrogate, at most U+10FFFF).
 */
bool text_is_utf8(struct str text);

/* Whether `text`, which is UTF-8, holds a control character (Unicode category Cc: U+0000 to U+001F
 * and U+007F to U+009F). */
bool text_has_control(struct str text);

/* Takes the next byte of a percent-encoded text off *rest, which is not empty (RFC 3986,
 * section 2.1). A '%' that no two hex digits follow stands for itself. */
unsigned char text_percent_next(struct str *rest);

/* Decodes the %XX of a URI part, once. The result is `text` itself when nothing was encoded, else
 * in `arena`; its data is NULL when there was no memory. */
MUST_CHECK struct str text_percent_decode(struct arena *arena, struct str text);

/* Appends `text`, which is UTF-8, without the difference between upper and lower case: each
 * character in lower case (towlower(3), of Unicode). */
void text_append_folded(struct buffer *buffer, struct str text);

/* Appends `text` as a JSON string (RFC 8259, section 7) with its quotes: safe in any JSON document
 * and on one log line, whatever the bytes. What is not UTF-8 becomes U+FFFD. */
void text_append_json(struct buffer *buffer, struct str text);

#endif
