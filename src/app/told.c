/* SPDX-License-Identifier: MIT */
#include "app/told.h"

#include "app/query.h"
#include "base/clock.h"
#include "base/text.h"
#include "model/json_walk.h"

void told_append_name(struct buffer *body, const char *name)
{
    buffer_append_char(body, '"');
    buffer_append_str(body, str_from(name));
    buffer_append(body, "\":", 2);
}

/* Appends a text, or null if it is empty. */
static void append_text(struct buffer *body, const char *name, struct str text)
{
    buffer_append_char(body, ',');
    told_append_name(body, name);
    if (text.len > 0)
        text_append_json(body, text);
    else
        buffer_append_str(body, STR("null"));
}

void told_append(const struct call *call, const struct told *told, struct buffer *body)
{
    char at[CLOCK_TEXT_SIZE];
    clock_format(told->at_us, at);
    buffer_append_char(body, '{');
    told_append_name(body, "revision");
    query_append_revision(call, told->revision, body);
    append_text(body, "at", str_from(at));
    append_text(body, "operation", query_operation_names[told->operation]);
    if (told->id.len > 0)
        append_text(body, "id", told->id);
    append_text(body, "by", told->author.actor);
    append_text(body, "request_id", told->author.request_id);
    buffer_append_char(body, ',');
    told_append_name(body, "members");
    json_walk_compact(body, told->members);
}
