/* SPDX-License-Identifier: MIT */
#include "base/str.h"

#include <strings.h>

bool str_equal(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool str_is_among(struct str text, const struct str *list, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (str_equal(text, list[i]))
            return true;
    return false;
}

static unsigned char ascii_lower(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

int str_compare(struct str a, struct str b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common == 0 ? 0 : memcmp(a.data, b.data, common);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

bool str_equal_ignore_case(struct str a, struct str b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (ascii_lower(a.data[i]) != ascii_lower(b.data[i]))
            return false;
    return true;
}

bool str_has_prefix(struct str text, struct str prefix)
{
    return text.len >= prefix.len && str_equal((struct str){text.data, prefix.len}, prefix);
}

bool str_has_suffix(struct str text, struct str suffix)
{
    return text.len >= suffix.len &&
           str_equal((struct str){text.data + text.len - suffix.len, suffix.len}, suffix);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct str str_trim(struct str text)
{
    while (text.len > 0 && is_blank(text.data[0])) {
        text.data++;
        text.len--;
    }
    while (text.len > 0 && is_blank(text.data[text.len - 1]))
        text.len--;
    return text;
}

bool str_split(struct str *rest, char separator, struct str *part)
{
    if (rest->data == NULL)
        return false;
    const char *found = memchr(rest->data, separator, rest->len);
    if (found == NULL) {
        *part = *rest;
        *rest = (struct str){NULL, 0};
        return true;
    }
    *part = (struct str){rest->data, (size_t)(found - rest->data)};
    rest->len -= part->len + 1;
    rest->data = found + 1;
    return true;
}

bool str_to_u64(struct str text, uint64_t *number)
{
    uint64_t value = 0;
    if (text.len == 0)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(text.data[i] - '0'), &value))
            return false;
    }
    *number = value;
    return true;
}
