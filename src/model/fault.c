/* SPDX-License-Identifier: MIT */
#include "model/fault.h"

#include "base/text.h"

void fault_begin(struct buffer *out, const char *where)
{
    buffer_append_str(out, STR("{\"loc\":["));
    text_append_json(out, str_from(where));
}

void fault_append_step(struct buffer *out, struct str name)
{
    buffer_append_char(out, ',');
    text_append_json(out, name);
}

void fault_end(struct buffer *out, struct str message, const char *type)
{
    buffer_append_str(out, STR("],\"msg\":"));
    text_append_json(out, message);
    buffer_append_str(out, STR(",\"type\":"));
    text_append_json(out, str_from(type));
    buffer_append_char(out, '}');
}
