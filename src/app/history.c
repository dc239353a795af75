/* SPDX-License-Identifier: MIT
 *
 * What an integration was before, and who changed it. */
#include "app/answer.h"
#include "app/handlers.h"
#include "app/query.h"
#include "app/told.h"

struct telling {
    const struct call *call;
    const struct query *query;
    struct buffer *body;
    uint64_t count;
    uint64_t last; /* revision of the last version shown */
    bool more;     /* there are more versions than fit on the page */
};

static void append_version(const struct telling *telling, const struct service_version *version)
{
    const struct told told = {.revision = version->revision,
                              .at_us = version->at_us,
                              .operation = version->operation,
                              .author = version->author,
                              .members = version->members};
    struct buffer *body = telling->body;
    told_append(telling->call, &told, body);
    if (version->document.len > 0) {
        buffer_append_char(body, ',');
        told_append_name(body, "document");
        buffer_append_str(body, version->document);
    }
    buffer_append_char(body, '}');
}

static bool append_to_history(void *context, const struct service_version *version)
{
    struct telling *telling = context;
    if (query_page_is_full(telling->query, telling->count, telling->body)) {
        telling->more = true;
        return false;
    }
    if (telling->count > 0)
        buffer_append_char(telling->body, ',');
    append_version(telling, version);
    telling->count++;
    telling->last = version->revision;
    return true;
}

void handle_history(const struct call *call)
{
    struct query query = {0};
    if (!query_read(call, QUERY_OF_HISTORY, &query))
        return;
    struct telling telling = {.call = call, .query = &query, .body = answer_json(call, 200)};
    enum store_status status = STORE_NOT_FOUND;
    buffer_append_char(telling.body, '[');
    if (integration_id_is_valid(call->id))
        status = service_history(&call->session->service, &call->caller, call->id, query.after,
                                 append_to_history, &telling);
    buffer_append_char(telling.body, ']');
    if (status == STORE_OK && telling.count == 0 && query.after == 0)
        status = STORE_NOT_FOUND;
    answer_privately(call);
    if (status != STORE_OK)
        answer_failure(call, status);
    else if (telling.more)
        query_tell_next(call, QUERY_OF_HISTORY, telling.last);
}
