/* SPDX-License-Identifier: MIT
 *
 * What an integration was before, and who changed it; and the changes of all, in order. */
#include "app/answer.h"
#include "app/handlers.h"
#include "app/query.h"
#include "base/clock.h"
#include "base/text.h"
#include "model/json_walk.h"

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

/* What is told of a change in either place. */
struct told {
    uint64_t revision;
    uint64_t at_us;
    enum store_operation operation;
    struct str id; /* empty: the path says it */
    struct store_author author;
    struct str members;
};

/* Appends a change without the brace at its end. */
static void append_change(const struct call *call, const struct told *told, struct buffer *body)
{
    char at[CLOCK_TEXT_SIZE];
    clock_format(told->at_us, at);
    buffer_append_char(body, '{');
    append_name(body, "revision");
    query_append_revision(call, told->revision, body);
    append_text(body, "at", str_from(at));
    append_text(body, "operation", query_operation_names[told->operation]);
    if (told->id.len > 0)
        append_text(body, "id", told->id);
    append_text(body, "by", told->author.actor);
    append_text(body, "request_id", told->author.request_id);
    buffer_append_char(body, ',');
    append_name(body, "members");
    json_walk_compact(body, told->members);
}

static void append_version(const struct telling *telling, const struct service_version *version)
{
    const struct told told = {.revision = version->revision,
                              .at_us = version->at_us,
                              .operation = version->operation,
                              .author = version->author,
                              .members = version->members};
    struct buffer *body = telling->body;
    append_change(telling->call, &told, body);
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

/* ---- the changes of all ---- */

enum { CHANGES_WITHOUT_LIMIT = 100 };

static struct service_feed feed_of(const struct query *query)
{
    return (struct service_feed){.from_start = !query->has_cursor,
                                 .after = query->cursor,
                                 .limit = query->limit > 0 ? query->limit : CHANGES_WITHOUT_LIMIT,
                                 .ids = query->ids,
                                 .ids_len = query->ids_len,
                                 .provider = query->provider,
                                 .operations = query->operations};
}

static bool append_to_feed(void *context, const struct store_entry *entry)
{
    struct telling *telling = context;
    const struct told told = {entry->revision, entry->at_us,  entry->operation,
                              entry->id,       entry->author, entry->members};
    if (telling->count++ > 0)
        buffer_append_char(telling->body, ',');
    append_change(telling->call, &told, telling->body);
    buffer_append_char(telling->body, '}');
    return true;
}

void handle_changes(const struct call *call)
{
    struct query query = {0};
    if (!query_read(call, QUERY_OF_CHANGES, &query))
        return;
    struct service_feed feed = feed_of(&query);
    struct telling telling = {.call = call, .query = &query, .body = answer_json(call, 200)};
    struct service_caller caller = call->caller; /* which may have waited for longer */
    caller.deadline_ns = clock_after_ms(call->session->app->config->db_timeout_ms);
    buffer_append_str(telling.body, STR("{\"changes\":["));
    enum store_status status =
        service_changes(&call->session->service, &caller, &feed, append_to_feed, &telling);
    answer_privately(call);
    if (status == STORE_NOT_FOUND) {
        answer_error(call, 410,
                     STR("the changes since then are not known here any more: read the list, and "
                         "go on from its X-Changes-Cursor"));
        return;
    }
    buffer_append_str(telling.body, STR("],\"next\":\""));
    query_append_cursor(call, feed.next, telling.body);
    buffer_append_str(telling.body, STR("\",\"more\":"));
    buffer_append_str(telling.body, feed.more ? STR("true}") : STR("false}"));
    if (status != STORE_OK)
        answer_failure(call, status);
}

/* Whether there is nothing yet that the request waits for. Who may know of some integrations only
 * must not learn when others are changed. */
static bool has_nothing_new(struct app_session *session, const struct query *query)
{
    struct store_version version;
    if (service_version(&session->service, &version) != STORE_OK)
        return false;
    if (session->grant.ids != NULL)
        return !service_has_newer(&session->service, query->ids, query->ids_len,
                                  query->cursor.revision);
    if (version.revision < query->cursor.revision) /* the replica does not have it yet */
        return service_replicates(&session->app->service);
    return store_version_equal(version, query->cursor);
}

uint64_t wait_for_changes(const struct call *call)
{
    struct query query = {0};
    query_parse(call, QUERY_OF_CHANGES, &query);
    uint64_t until_ns = call->request->started_ns + query.wait_s * 1000 * NS_PER_MS;
    bool waits = call->session->faults.len == 0 && query.has_cursor &&
                 clock_steady_ns() < until_ns && has_nothing_new(call->session, &query);
    return waits ? until_ns : 0;
}
