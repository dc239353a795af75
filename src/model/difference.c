/* SPDX-License-Identifier: MIT */
#include "model/difference.h"

#include <stdlib.h>

#include "base/text.h"
#include "model/integration.h"
#include "model/json_walk.h"

struct member {
    struct str name;
    struct str value; /* as written */
};

struct members {
    struct member *items;
    size_t len;
};

static int compare_texts(struct str a, struct str b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len == 0 ? 0 : memcmp(a.data, b.data, len);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_members(const void *a, const void *b)
{
    return compare_texts(((const struct member *)a)->name, ((const struct member *)b)->name);
}

/* Returns "settings." and a name, given as a JSON string. */
static struct str name_setting(struct arena *arena, struct str string)
{
    static const struct str prefix = STR_INIT("settings.");
    struct str name = {string.data + 1, string.len - 2};
    if (memchr(string.data, '\\', string.len) != NULL)
        name = json_decode_string(arena, string);
    char *text = arena_alloc(arena, prefix.len + name.len);
    if (text == NULL)
        return (struct str){NULL, 0};
    memcpy(text, prefix.data, prefix.len);
    if (name.len > 0)
        memcpy(text + prefix.len, name.data, name.len);
    return (struct str){text, prefix.len + name.len};
}

/* Finds the members of a document, by name. */
static struct members collect(struct arena *arena, struct str document)
{
    static const enum integration_field fields[] = {INTEGRATION_NAME, INTEGRATION_DESCRIPTION,
                                                    INTEGRATION_STATUS};
    struct str values[INTEGRATION_FIELDS];
    struct str name;
    struct str value;
    struct members members = {0};
    if (document.len == 0 || !integration_split(arena, document, values))
        return members;
    struct str rest = values[INTEGRATION_SETTINGS];
    if (rest.len < 2 || rest.data[0] != '{')
        rest = STR("{}"); /* not written by this service */
    members.items =
        arena_alloc(arena, (ARRAY_LEN(fields) + json_walk_count(rest)) * sizeof *members.items);
    if (members.items == NULL)
        return members;
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        members.items[members.len++] =
            (struct member){integration_field_names[fields[i]], values[fields[i]]};
    while (json_walk_next(&rest, &name, &value))
        members.items[members.len++] = (struct member){name_setting(arena, name), value};
    qsort(members.items, members.len, sizeof *members.items, compare_members);
    return members;
}

static void append_name(struct buffer *out, struct str name)
{
    if (out->len > 0 && out->data[out->len - 1] != '[')
        buffer_append_char(out, ',');
    text_append_json(out, name);
}

void difference_append(struct arena *arena, struct str before, struct str after, struct buffer *out)
{
    struct members old = collect(arena, before);
    struct members new = collect(arena, after);
    size_t i = 0;
    size_t j = 0;
    buffer_append_char(out, '[');
    while (!arena->failed && (i < old.len || j < new.len)) {
        int order = i == old.len   ? 1
                    : j == new.len ? -1
                                   : compare_members(&old.items[i], &new.items[j]);
        if (order != 0 || !str_equal(old.items[i].value, new.items[j].value))
            append_name(out, order <= 0 ? old.items[i].name : new.items[j].name);
        i += order <= 0;
        j += order >= 0;
    }
    buffer_append_char(out, ']');
}
