/* SPDX-License-Identifier: MIT */
#include "model/merge.h"

#include <stdlib.h>

#include "model/json.h"
#include "model/json_walk.h"

struct patch_member {
    struct str name;     /* decoded */
    struct str raw_name; /* as in the patch */
    struct str value;
    size_t place; /* position in the patch */
    bool done;
};

static struct str decode_name(struct arena *arena, struct str raw)
{
    if (raw.len < 2)
        return raw; /* the member of an array has no name */
    if (memchr(raw.data, '\\', raw.len) != NULL)
        return json_decode_string(arena, raw);
    return (struct str){raw.data + 1, raw.len - 2};
}

/* Orders members by name, and members of the same name by position, last one first. */
static int compare_members(const void *left, const void *right)
{
    const struct patch_member *a = left;
    const struct patch_member *b = right;
    int order = str_compare(a->name, b->name);
    return order != 0 ? order : (a->place < b->place) - (a->place > b->place);
}

static int compare_places(const void *left, const void *right)
{
    const struct patch_member *a = left;
    const struct patch_member *b = right;
    return (a->place > b->place) - (a->place < b->place);
}

/* Collects the members of an object in the patch, sorted by name, each one once. Returns false if
 * memory is lacking. */
static bool read_members(struct arena *arena, struct str patch, struct patch_member **members,
                         size_t *len)
{
    struct str rest = patch;
    struct str name;
    struct str value;
    size_t count = json_walk_count(patch);
    size_t kept = 0;
    *members = arena_alloc(arena, (count + 1) * sizeof **members);
    *len = 0;
    if (*members == NULL)
        return false;
    for (size_t i = 0; i < count && json_walk_next(&rest, &name, &value); i++)
        (*members)[i] = (struct patch_member){decode_name(arena, name), name, value, i, false};
    qsort(*members, count, sizeof **members, compare_members);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || str_compare((*members)[kept - 1].name, (*members)[i].name) != 0)
            (*members)[kept++] = (*members)[i];
    *len = kept;
    return true;
}

static struct patch_member *find_member(struct patch_member *members, size_t len, struct str name)
{
    while (len > 0) {
        size_t half = len / 2;
        int order = str_compare(name, members[half].name);
        if (order == 0)
            return &members[half];
        if (order > 0)
            members += half + 1;
        len = order > 0 ? len - half - 1 : half;
    }
    return NULL;
}

static bool is_null(struct str value)
{
    return value.data[0] == 'n';
}

static void begin_member(struct buffer *out, bool *first, struct str name)
{
    if (!*first)
        buffer_append_char(out, ',');
    *first = false;
    buffer_append_str(out, name);
    buffer_append_char(out, ':');
}

/* Appends the target's members, as modified by the patch. This function and merge_patch recurse as
 * deeply as their input is nested, which is at most JSON_DEPTH_MAX. */
// NOLINTNEXTLINE(misc-no-recursion)
static void merge_old(struct arena *arena, struct str target, struct patch_member *members,
                      size_t len, bool *first, struct buffer *out)
{
    struct str name;
    struct str value;
    while (json_walk_next(&target, &name, &value)) {
        struct patch_member *member = find_member(members, len, decode_name(arena, name));
        if (member != NULL)
            member->done = true;
        if (member != NULL && is_null(member->value))
            continue;
        begin_member(out, first, name);
        if (member != NULL)
            merge_patch(arena, value, member->value, out);
        else
            buffer_append_str(out, value);
    }
}

// NOLINTNEXTLINE(misc-no-recursion)
void merge_patch(struct arena *arena, struct str target, struct str patch, struct buffer *out)
{
    struct patch_member *members;
    size_t len;
    bool first = true;
    if (patch.data[0] != '{') {
        buffer_append_str(out, patch);
        return;
    }
    if (!read_members(arena, patch, &members, &len))
        return; /* the failure is recorded in the arena */
    buffer_append_char(out, '{');
    if (target.data[0] == '{')
        merge_old(arena, target, members, len, &first, out);
    qsort(members, len, sizeof *members, compare_places);
    for (size_t i = 0; i < len; i++)
        if (!members[i].done && !is_null(members[i].value)) {
            begin_member(out, &first, members[i].raw_name);
            merge_patch(arena, STR("null"), members[i].value, out);
        }
    buffer_append_char(out, '}');
}
