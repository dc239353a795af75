/* SPDX-License-Identifier: MIT
 *
 * The changes of all integrations, in order. */
#include "app/answer.h"
#include "app/handlers.h"
#include "app/query.h"
#include "app/told.h"
#include "base/clock.h"

enum { CHANGES_WITHOUT_LIMIT = 100 };

struct feeding {
    const struct call *call;
    struct buffer *body;
    uint64_t count;
};

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
    struct feeding *feeding = context;
    const struct told told = {entry->revision, entry->at_us,  entry->operation,
                              entry->id,       entry->author, entry->members};
    if (feeding->count++ > 0)
        buffer_append_char(feeding->body, ',');
    told_append(feeding->call, &told, feeding->body);
    buffer_append_char(feeding->body, '}');
    return true;
}

void handle_changes(const struct call *call)
{
    struct query query = {0};
    if (!query_read(call, QUERY_OF_CHANGES, &query))
        return;
    struct service_feed feed = feed_of(&query);
    struct feeding feeding = {.call = call, .body = answer_json(call, 200)};
    struct service_caller caller = call->caller; /* which may have waited for longer */
    caller.deadline_ns = clock_after_ms(call->session->app->config->db_timeout_ms);
    buffer_append_str(feeding.body, STR("{\"changes\":["));
    enum store_status status =
        service_changes(&call->session->service, &caller, &feed, append_to_feed, &feeding);
    answer_privately(call);
    if (status == STORE_NOT_FOUND) {
        answer_error(call, 410,
                     STR("the changes since then are not known here any more: read the list, and "
                         "go on from its X-Changes-Cursor"));
        return;
    }
    buffer_append_str(feeding.body, STR("],\"next\":\""));
    query_append_cursor(call, feed.next, feeding.body);
    buffer_append_str(feeding.body, STR("\",\"more\":"));
    buffer_append_str(feeding.body, feed.more ? STR("true}") : STR("false}"));
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
