/* SPDX-License-Identifier: MIT */
#include "model/fault.h"

#include <assert.h>

#include "base/text.h"

enum { FIRST_CAP = 8 };

static struct fault_place step(const struct fault_place *place, struct fault_step step)
{
    struct fault_place further = *place;
    assert(further.steps_len < FAULT_STEPS_MAX);
    further.steps[further.steps_len++] = step;
    return further;
}

struct fault_place fault_place_member(const struct fault_place *place, struct str name)
{
    return step(place, (struct fault_step){.name = name});
}

struct fault_place fault_place_number(const struct fault_place *place, size_t number)
{
    return step(place, (struct fault_step){.number = number});
}

static bool grow(struct faults *faults)
{
    size_t cap = faults->cap == 0 ? FIRST_CAP : faults->cap * 2;
    struct fault *list = arena_alloc(faults->arena, cap * sizeof *list);
    if (list == NULL)
        return false;
    if (faults->len > 0)
        memcpy(list, faults->list, faults->len * sizeof *list);
    faults->list = list;
    faults->cap = cap;
    return true;
}

void faults_add(struct faults *faults, const struct fault_place *place, struct str message,
                const char *type)
{
    if (faults->len == faults->cap && !grow(faults))
        return;
    faults->list[faults->len++] = (struct fault){*place, message, type};
}

static void append_place(struct buffer *out, const struct fault_place *place)
{
    text_append_json(out, str_from(place->root));
    for (size_t i = 0; i < place->steps_len; i++) {
        buffer_append_char(out, ',');
        if (place->steps[i].name.data != NULL)
            text_append_json(out, place->steps[i].name);
        else
            buffer_append_u64(out, place->steps[i].number);
    }
}

void faults_append_json(struct buffer *out, const struct faults *faults)
{
    buffer_append_char(out, '[');
    for (size_t i = 0; i < faults->len; i++) {
        const struct fault *fault = &faults->list[i];
        buffer_append_str(out, i == 0 ? STR("{\"loc\":[") : STR(",{\"loc\":["));
        append_place(out, &fault->place);
        buffer_append_str(out, STR("],\"msg\":"));
        text_append_json(out, fault->message);
        buffer_append_str(out, STR(",\"type\":"));
        text_append_json(out, str_from(fault->type));
        buffer_append_char(out, '}');
    }
    buffer_append_char(out, ']');
}
