/* SPDX-License-Identifier: MIT */
#include "model/json_walk.h"

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

void json_walk_compact(struct buffer *buffer, struct str text)
{
    bool in_string = false;
    size_t kept = 0; /* start of the run that has not been appended yet */
    for (size_t at = 0; at < text.len; at++) {
        char c = text.data[at];
        if (in_string && c == '\\') {
            at++;
        } else if (c == '"') {
            in_string = !in_string;
        } else if (!in_string && is_space(c)) {
            buffer_append(buffer, text.data + kept, at - kept);
            kept = at + 1;
        }
    }
    buffer_append(buffer, text.data + kept, text.len - kept);
}

const char *json_walk_end(const char *at, const char *end)
{
    unsigned depth = 0;
    bool in_string = false;
    for (; at < end; at++) {
        if (in_string) {
            if (*at == '\\' && at + 1 < end)
                at++;
            else if (*at == '"')
                in_string = false;
        } else if (*at == '"') {
            in_string = true;
        } else if (*at == '[' || *at == '{') {
            depth++;
        } else if (depth == 0 && (*at == ',' || *at == ']' || *at == '}')) {
            return at;
        } else if (*at == ']' || *at == '}') {
            depth--;
        }
    }
    return end;
}

/* Returns the end of the string at `at`. */
static const char *string_end(const char *at)
{
    for (at++; *at != '"'; at++)
        if (*at == '\\')
            at++;
    return at + 1;
}

bool json_walk_next(struct str *rest, struct str *name, struct str *value)
{
    const char *end = rest->data + rest->len;
    const char *at = rest->data;
    bool in_object = end[-1] == '}';
    if (*at == ']' || *at == '}') /* the previous element was the last */
        return false;
    do {
        at++;
    } while (is_space(*at));
    if (*at == ']' || *at == '}')
        return false;
    *name = (struct str){NULL, 0};
    if (in_object) {
        const char *colon = string_end(at);
        *name = (struct str){at, (size_t)(colon - at)};
        at = (const char *)memchr(colon, ':', (size_t)(end - colon)) + 1;
        while (is_space(*at))
            at++;
    }
    const char *stop = json_walk_end(at, end);
    *rest = (struct str){stop, (size_t)(end - stop)};
    while (is_space(stop[-1]))
        stop--;
    *value = (struct str){at, (size_t)(stop - at)};
    return true;
}

size_t json_walk_count(struct str text)
{
    struct str name;
    struct str value;
    size_t count = 0;
    while (json_walk_next(&text, &name, &value))
        count++;
    return count;
}
