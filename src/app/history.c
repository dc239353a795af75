/* SPDX-License-Identifier: MIT
 *
 * What an integration was before, and who changed it. */
#include "app/answer.h"
#include "app/handlers.h"
#include "app/query.h"
#include "base/clock.h"
#include "base/text.h"
#include "model/json_walk.h"

/* A page ends when it has become this long. */
enum { PAGE_BYTES_MAX = 8 << 20 };

struct telling {
    const struct call *call;
    const struct query *query;
    struct buffer *body;
    uint64_t count;
    uint64_t last; /* revision of the last version shown */
    bool more;     /* there are more versions than fit on the page */
};

static void append_name(struct buffer *body, const char *name)
{
    buffer_append_char(body, '"');
    buffer_append_str(body, str_from(name));
    buffer_append(body, "\":", 2);
}

/* Appends a text, or null if it is empty. */
static void append_text(struct buffer *body, const char *name, struct str text)
{
    buffer_append_char(body, ',');
    append_name(body, name);
    if (text.len > 0)
        text_append_json(body, text);
    else
        buffer_append_str(body, STR("null"));
}

static void append_version(const struct telling *telling, const struct service_version *version)
{
    static const struct str operations[] = {[STORE_CREATE] = STR_INIT("create"),
                                            [STORE_REPLACE] = STR_INIT("replace"),
                                            [STORE_REMOVE] = STR_INIT("remove")};
    char at[CLOCK_TEXT_SIZE];
    struct buffer *body = telling->body;
    clock_format(version->at_us, at);
    buffer_append_char(body, '{');
    append_name(body, "revision");
    query_append_revision(telling->call, version->revision, body);
    append_text(body, "at", str_from(at));
    append_text(body, "operation", operations[version->operation]);
    append_text(body, "by", version->author.actor);
    append_text(body, "request_id", version->author.request_id);
    buffer_append_char(body, ',');
    append_name(body, "members");
    json_walk_compact(body, version->members);
    if (version->document.len > 0) {
        buffer_append_char(body, ',');
        append_name(body, "document");
        buffer_append_str(body, version->document);
    }
    buffer_append_char(body, '}');
}

static bool append_to_history(void *context, const struct service_version *version)
{
    struct telling *telling = context;
    uint64_t limit = telling->query->limit;
    if ((limit > 0 && telling->count == limit) || telling->body->len >= PAGE_BYTES_MAX) {
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
    if (status != STORE_OK)
        answer_failure(call, status);
    else if (telling.more)
        query_tell_next(call, telling.last);
}
