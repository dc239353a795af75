/* SPDX-License-Identifier: MIT
 *
 * The changes of all integrations, in order: a page of them, or a stream of server-sent events (the
 * HTML standard, section 9.2), of which each worker of a pool sends part after part while nothing
 * occupies a thread. A web server that starts its own processes keeps what they send until they
 * have sent all, so there an answer ends where a page would. */
#include "app/answer.h"
#include "app/handlers.h"
#include "app/query.h"
#include "app/told.h"
#include "base/clock.h"

enum {
    CHANGES_WITHOUT_LIMIT = 100,
    EVENTS_AT_ONCE = 100,     /* of a stream, whose reader may be slow */
    EVENTS_BYTES = 16 * 1024, /* likewise: a socket that can be written to takes more */
    REST_MS = 1000,           /* after a failure, before the next try */
    COMMENT_MS = 15000        /* after so long a silence there is a comment */
};

static const struct str events_type = STR_INIT("text/event-stream");

struct feeding {
    const struct call *call;
    struct buffer *body;
    uint64_t count;
    struct store_version last; /* of the last event */
};

static bool wants_events(const struct call *call)
{
    bool named;
    bool page_named;
    if (call->request->stream.begun) /* it is asked at each part, and after each commit */
        return true;
    struct str accept = call->request->accept;
    unsigned weight = http_accept_weight(accept, events_type, &named);
    unsigned page_weight = http_accept_weight(accept, STR("application/json"), &page_named);
    return call->request->method == HTTP_GET && named && weight > 0 &&
           (!page_named || weight > page_weight);
}

static bool is_streamed(const struct call *call)
{
    return call->session->app->streams && wants_events(call);
}

/* Where a stream goes on: where its last part ended, or where an earlier stream did, as the client
 * says. */
static void find_place(const struct call *call, struct query *query)
{
    const struct http_request *request = call->request;
    if (request->stream.begun) {
        query->has_cursor = true;
        query->cursor = (struct store_version){request->stream.revision, request->stream.tag};
    } else if (wants_events(call) && request->last_event_id.len > 0) {
        query_take_cursor(call, "Last-Event-ID", request->last_event_id, query);
    }
}

static bool read_query(const struct call *call, struct query *query)
{
    query_parse(call, QUERY_OF_CHANGES, query);
    find_place(call, query);
    return query_is_right(call);
}

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

static void append_entry(struct feeding *feeding, const struct store_entry *entry)
{
    const struct told told = {entry->revision, entry->at_us,  entry->operation,
                              entry->id,       entry->author, entry->members};
    told_append(feeding->call, &told, feeding->body);
    buffer_append_char(feeding->body, '}');
    feeding->count++;
}

static enum store_status read_feed(const struct call *call, struct service_feed *feed,
                                   store_visit_entry *visit, struct feeding *feeding)
{
    struct service_caller caller = call->caller; /* which may have waited for longer */
    caller.deadline_ns = clock_after_ms(call->session->app->config->db_timeout_ms);
    return service_changes(&call->session->service, &caller, feed, visit, feeding);
}

static void answer_unread(const struct call *call, enum store_status status)
{
    if (status == STORE_NOT_FOUND)
        answer_error(call, 410,
                     STR("the changes since then are not known here any more: read the list, and "
                         "go on from its X-Changes-Cursor"));
    else
        answer_failure(call, status);
}

/* ---- a page ---- */

static bool append_to_page(void *context, const struct store_entry *entry)
{
    struct feeding *feeding = context;
    if (feeding->count > 0)
        buffer_append_char(feeding->body, ',');
    append_entry(feeding, entry);
    return true;
}

static void answer_page(const struct call *call, const struct query *query)
{
    struct service_feed feed = feed_of(query);
    struct feeding feeding = {.call = call, .body = answer_json(call, 200)};
    buffer_append_str(feeding.body, STR("{\"changes\":["));
    enum store_status status = read_feed(call, &feed, append_to_page, &feeding);
    answer_privately(call);
    buffer_append_str(feeding.body, STR("],\"next\":\""));
    query_append_cursor(call, feed.next, feeding.body);
    buffer_append_str(feeding.body, STR("\",\"more\":"));
    buffer_append_str(feeding.body, feed.more ? STR("true}") : STR("false}"));
    if (status != STORE_OK)
        answer_unread(call, status);
}

/* ---- events ---- */

static void append_event_id(struct feeding *feeding, struct store_version version)
{
    buffer_append_str(feeding->body, STR("id: "));
    query_append_cursor(feeding->call, version, feeding->body);
    buffer_append_char(feeding->body, '\n');
    feeding->last = version;
}

static bool append_event(void *context, const struct store_entry *entry)
{
    struct feeding *feeding = context;
    append_event_id(feeding, (struct store_version){entry->revision, entry->tag});
    buffer_append_str(feeding->body, STR("data: "));
    append_entry(feeding, entry);
    buffer_append_str(feeding->body, STR("\n\n"));
    return feeding->body->len < EVENTS_BYTES;
}

/* Whether changes were passed after the last event that are not asked for. Of those that its key
 * may not know of a client must not see that they were. */
static bool passes_others(const struct call *call, const struct feeding *feeding,
                          const struct service_feed *feed)
{
    return call->session->grant.ids == NULL && !store_version_equal(feeding->last, feed->next);
}

static void answer_events(const struct call *call, const struct query *query)
{
    struct http_response *response = &call->session->response;
    bool begun = call->request->stream.begun;
    struct service_feed feed = feed_of(query);
    struct feeding feeding = {.call = call, .body = &response->body};
    if (feed.limit > EVENTS_AT_ONCE)
        feed.limit = EVENTS_AT_ONCE;
    if (!begun)
        buffer_append_str(feeding.body, STR("retry: 1000\n\n"));
    enum store_status status = read_feed(call, &feed, append_event, &feeding);
    bool fails = status == STORE_AWAY && begun; /* a client would not come back after an error */
    if (fails) {
        buffer_reset(feeding.body, SIZE_MAX); /* they are told when all could be read */
        feeding.count = 0;
        feed.next = query->cursor;
        status = STORE_OK;
    }
    answer_privately(call);
    if (status != STORE_OK) {
        answer_unread(call, status);
        return;
    }
    response->status = 200;
    response->content_type = events_type;
    http_response_header(response, STR("X-Accel-Buffering"), STR("no")); /* for nginx */
    if (feeding.count == 0 || passes_others(call, &feeding, &feed)) {
        buffer_append_str(feeding.body, STR(":\n")); /* a comment */
        append_event_id(&feeding, feed.next);
        buffer_append_char(feeding.body, '\n');
    }
    response->stream = (struct http_stream){.begun = true,
                                            .revision = feed.next.revision,
                                            .tag = feed.next.tag,
                                            .sent_ns = clock_steady_ns(),
                                            .rests = fails};
    if (is_streamed(call))
        response->part = begun ? HTTP_NEXT_PART : HTTP_FIRST_PART;
}

void handle_changes(const struct call *call)
{
    struct query query = {0};
    if (!read_query(call, &query))
        return;
    if (wants_events(call))
        answer_events(call, &query);
    else
        answer_page(call, &query);
}

/* ---- waiting ---- */

/* Whether there is nothing yet that the request waits for. Who may know of some integrations only
 * must not learn when others are changed. */
static bool has_nothing_new(struct app_session *session, const struct query *query, bool begun)
{
    struct store_version version;
    if (service_version(&session->service, &version) != STORE_OK)
        return begun; /* else what is wrong is answered */
    if (session->grant.ids != NULL)
        return !service_has_newer(&session->service, query->ids, query->ids_len,
                                  query->cursor.revision);
    if (version.revision < query->cursor.revision) /* the replica does not have it yet */
        return service_replicates(&session->app->service);
    return store_version_equal(version, query->cursor);
}

/* A stream has begun before it waits, and then waits again and again. */
static uint64_t find_end(const struct call *call, const struct query *query)
{
    const struct http_stream *stream = &call->request->stream;
    if (!is_streamed(call))
        return call->request->started_ns + query->wait_s * 1000 * NS_PER_MS;
    if (!stream->begun)
        return 0;
    return stream->sent_ns + (stream->rests ? REST_MS : COMMENT_MS) * NS_PER_MS;
}

uint64_t wait_for_changes(const struct call *call)
{
    struct query query = {0};
    query_parse(call, QUERY_OF_CHANGES, &query);
    find_place(call, &query);
    uint64_t until_ns = find_end(call, &query);
    const struct http_stream *stream = &call->request->stream;
    bool waits = call->session->faults.len == 0 && query.has_cursor &&
                 clock_steady_ns() < until_ns &&
                 (stream->rests || has_nothing_new(call->session, &query, stream->begun));
    return waits ? until_ns : 0;
}
