/* SPDX-License-Identifier: MIT */
#include "base/text.h"

#include <stdlib.h>
#include <utf8proc.h>

static bool is_continuation(unsigned char c)
{
    return (c & 0xC0) == 0x80;
}

/* Returns the length of the well-formed UTF-8 sequence at `at` (RFC 3629, section 4), or 0 if there
 * is none. */
static size_t sequence_length(const unsigned char *at, size_t left)
{
    unsigned char first = at[0];
    if (first < 0x80)
        return 1;
    if (first < 0xC2 || first > 0xF4)
        return 0;
    size_t length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    if (left < length)
        return 0;
    for (size_t i = 1; i < length; i++)
        if (!is_continuation(at[i]))
            return 0;
    unsigned char second = at[1];
    bool overlong = (first == 0xE0 && second < 0xA0) || (first == 0xF0 && second < 0x90);
    bool surrogate = first == 0xED && second > 0x9F;
    bool beyond = first == 0xF4 && second > 0x8F;
    return overlong || surrogate || beyond ? 0 : length;
}

bool text_is_utf8(struct str text)
{
    const unsigned char *bytes = (const unsigned char *)text.data;
    for (size_t at = 0; at < text.len;) {
        size_t length = sequence_length(bytes + at, text.len - at);
        if (length == 0)
            return false;
        at += length;
    }
    return true;
}

bool text_has_control(struct str text)
{
    const unsigned char *bytes = (const unsigned char *)text.data;
    for (size_t at = 0; at < text.len; at++) {
        if (bytes[at] < 0x20 || bytes[at] == 0x7F)
            return true;
        /* U+0080 to U+009F are encoded as C2 80 to C2 9F. */
        if (bytes[at] == 0xC2 && at + 1 < text.len && bytes[at + 1] < 0xA0)
            return true;
    }
    return false;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

unsigned char text_percent_next(struct str *rest)
{
    char c = rest->data[0];
    int high = -1;
    int low = -1;
    if (c == '%' && rest->len > 2) {
        high = hex_value(rest->data[1]);
        low = hex_value(rest->data[2]);
    }
    size_t taken = high < 0 || low < 0 ? 1 : 3;
    rest->data += taken;
    rest->len -= taken;
    return (unsigned char)(taken == 1 ? c : high * 16 + low);
}

struct str text_percent_decode(struct arena *arena, struct str text)
{
    if (text.len == 0 || memchr(text.data, '%', text.len) == NULL)
        return text;
    char *decoded = arena_alloc(arena, text.len);
    if (decoded == NULL)
        return (struct str){NULL, 0};
    size_t len = 0;
    while (text.len > 0)
        decoded[len++] = (char)text_percent_next(&text);
    return (struct str){decoded, len};
}

/* Appends the ASCII character `c`, escaped if RFC 8259 requires it. DEL is escaped as well, because
 * some terminals act on it. */
static void append_ascii(struct buffer *buffer, unsigned char c)
{
    static const char short_form[] = {
        ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    if (c == '"' || c == '\\')
        buffer_append(buffer, (char[]){'\\', (char)c}, 2);
    else if (c >= 0x20 && c != 0x7F)
        buffer_append_char(buffer, (char)c);
    else if (c < sizeof short_form && short_form[c] != 0)
        buffer_append(buffer, (char[]){'\\', short_form[c]}, 2);
    else
        buffer_printf(buffer, "\\u%04x", c);
}

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7F && c != '"' && c != '\\';
}

void text_append_json(struct buffer *buffer, struct str text)
{
    const unsigned char *bytes = (const unsigned char *)text.data;
    buffer_append_char(buffer, '"');
    for (size_t at = 0; at < text.len;) {
        size_t plain = at;
        while (plain < text.len && is_plain(bytes[plain]))
            plain++;
        buffer_append(buffer, bytes + at, plain - at);
        at = plain;
        if (at == text.len)
            break;
        size_t length = sequence_length(bytes + at, text.len - at);
        if (length == 0)
            buffer_append_str(buffer, STR("\xEF\xBF\xBD"));
        else if (length == 1)
            append_ascii(buffer, bytes[at]);
        else
            buffer_append(buffer, bytes + at, length);
        at += length == 0 ? 1 : length;
    }
    buffer_append_char(buffer, '"');
}

/* ---- folding ---- */

static bool is_ascii(struct str text)
{
    unsigned char bits = 0;
    for (size_t i = 0; i < text.len; i++)
        bits |= (unsigned char)text.data[i];
    return bits < 0x80;
}

static void append_lower(struct buffer *buffer, struct str text)
{
    char *to = buffer_reserve(buffer, text.len);
    if (to == NULL)
        return;
    for (size_t i = 0; i < text.len; i++)
        to[i] =
            (char)(text.data[i] >= 'A' && text.data[i] <= 'Z' ? text.data[i] | 0x20 : text.data[i]);
    buffer->len += text.len;
}

void text_append_folded(struct buffer *buffer, struct str text)
{
    utf8proc_uint8_t *folded = NULL;
    utf8proc_ssize_t len = -1;
    if (!is_ascii(text))
        len = utf8proc_map((const utf8proc_uint8_t *)text.data, (utf8proc_ssize_t)text.len, &folded,
                           UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_CASEFOLD);
    if (len >= 0)
        buffer_append(buffer, folded, (size_t)len);
    else /* nothing but ASCII, or no UTF-8 */
        append_lower(buffer, text);
    free(folded);
}
