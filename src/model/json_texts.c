/* SPDX-License-Identifier: MIT */
#include "model/json_texts.h"

#include <string.h>

/* In front of each name in a path stands its length; this stands for an array. */
static const uint32_t array_mark = UINT32_MAX;

void json_texts_open(struct json_texts *texts, struct str text, struct arena *arena)
{
    *texts = (struct json_texts){.arena = arena, .text = text};
}

void json_texts_close(struct json_texts *texts)
{
    buffer_release(&texts->path);
}

/* Extracts the string that begins here. */
static struct str take_string(struct json_texts *texts)
{
    size_t begin = texts->at++;
    while (texts->at < texts->text.len && texts->text.data[texts->at] != '"')
        texts->at += texts->text.data[texts->at] == '\\' ? 2 : 1;
    texts->at = texts->at < texts->text.len ? texts->at + 1 : texts->text.len;
    return (struct str){texts->text.data + begin, texts->at - begin};
}

static void enter_member(struct json_texts *texts, struct str raw)
{
    struct str name = {raw.data + 1, raw.len - 2};
    if (memchr(raw.data, '\\', raw.len) != NULL)
        name = json_decode_string(texts->arena, raw);
    uint32_t len = (uint32_t)name.len;
    buffer_append(&texts->path, &len, sizeof len);
    buffer_append_str(&texts->path, name);
    texts->expects_name = false;
    texts->failed |= texts->path.failed || name.data == NULL;
}

static void enter(struct json_texts *texts, bool is_object)
{
    if (texts->depth == JSON_DEPTH_MAX) {
        texts->failed = true;
        return;
    }
    texts->levels[texts->depth++] = (struct json_texts_level){is_object, texts->path.len};
    texts->expects_name = is_object;
    if (!is_object)
        buffer_append(&texts->path, &array_mark, sizeof array_mark);
}

static void leave(struct json_texts *texts)
{
    texts->expects_name = false;
    if (texts->depth > 0)
        texts->path.len = texts->levels[--texts->depth].path_len;
}

static void next_element(struct json_texts *texts)
{
    if (texts->depth == 0)
        return;
    const struct json_texts_level *level = &texts->levels[texts->depth - 1];
    texts->expects_name = level->is_object;
    if (level->is_object)
        texts->path.len = level->path_len;
}

bool json_texts_next(struct json_texts *texts, struct str *value)
{
    while (texts->at < texts->text.len && !texts->failed) {
        char c = texts->text.data[texts->at];
        if (c == '"') {
            *value = take_string(texts);
            if (!texts->expects_name)
                return true;
            enter_member(texts, *value);
            continue;
        }
        texts->at++;
        if (c == '{' || c == '[')
            enter(texts, c == '{');
        else if (c == '}' || c == ']')
            leave(texts);
        else if (c == ',')
            next_element(texts);
    }
    return false;
}

bool json_texts_step(struct str *path, struct str *name)
{
    uint32_t len;
    if (path->len < sizeof len)
        return false;
    memcpy(&len, path->data, sizeof len);
    const char *behind = path->data + sizeof len;
    *name = len == array_mark ? (struct str){NULL, 0} : (struct str){behind, len};
    *path = (struct str){behind + name->len, path->len - sizeof len - name->len};
    return true;
}

struct str json_texts_member(const struct json_texts *texts)
{
    struct str path = buffer_str(&texts->path);
    struct str name;
    return json_texts_step(&path, &name) && name.data != NULL ? name : STR("");
}
