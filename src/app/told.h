/* SPDX-License-Identifier: MIT
 *
 * How a change is told, in the history of an integration and in the feed of all changes. */
#ifndef APP_TOLD_H
#define APP_TOLD_H

#include "app/call.h"

struct told {
    uint64_t revision;
    uint64_t at_us;
    enum store_operation operation;
    struct str id; /* empty: the path says it */
    struct store_author author;
    struct str members;
};

/* Appends a name and the colon after it. */
void told_append_name(struct buffer *body, const char *name);

/* Appends a change as a JSON object without the brace at its end. */
void told_append(const struct call *call, const struct told *told, struct buffer *body);

#endif
