/* SPDX-License-Identifier: MIT */
#include "app/answer.h"
#include "app/conditions.h"
#include "app/handlers.h"
#include "app/query.h"

struct listing {
    const struct call *call;
    const struct query *query;
    struct buffer *body;
    struct arena arena; /* reset for each record */
    struct buffer scratch;
    uint64_t count;
    uint64_t last; /* sequence number of the last record shown */
    bool more;     /* there are more records than fit on the page */
};

static bool append_to_list(void *context, const struct store_record *record)
{
    struct listing *listing = context;
    if (listing->body->len > listing->call->session->answer_max) /* too long for this session */
        return false;
    arena_reset(&listing->arena);
    if (!query_wants(listing->query, record, &listing->arena, &listing->scratch))
        return true;
    if (query_page_is_full(listing->query, listing->count, listing->body)) {
        listing->more = true;
        return false;
    }
    if (listing->count > 0)
        buffer_append_char(listing->body, ',');
    query_append(listing->call, listing->query, record, &listing->arena, listing->body);
    listing->count++;
    listing->last = record->sequence;
    return true;
}

static struct store_read begin_list(const struct call *call, const struct query *query)
{
    struct store_read read = call_read(call);
    bool filtered = query->has_status || query->text.len > 0;
    read.after = query->after;
    read.ids = query->ids;
    read.ids_len = query->ids_len;
    read.wanted = query->limit > 0 && !filtered ? query->limit + 1 : 0;
    if (call->session->grant.ids == NULL) /* otherwise the list has no version */
        read.known = conditions_known(call);
    return read;
}

/* Adds the headers that lead to the next page, and to the changes since this one was read. */
static void tell_where_to_go_on(const struct call *call, const struct listing *listing,
                                struct store_version version)
{
    struct app_session *session = call->session;
    struct buffer cursor = buffer_on(session->cursor_text, sizeof session->cursor_text);
    query_append_cursor(call, version, &cursor);
    http_response_header(&session->response, STR("X-Changes-Cursor"), buffer_str(&cursor));
    if (listing->more)
        query_tell_next(call, QUERY_OF_LIST, listing->last);
}

void handle_list(const struct call *call)
{
    struct app_session *session = call->session;
    struct query query = {0};
    if (!query_read(call, QUERY_OF_LIST, &query))
        return;
    struct store_read read = begin_list(call, &query);
    struct listing listing = {.call = call, .query = &query, .body = answer_json(call, 200)};
    buffer_append_char(listing.body, '[');
    enum store_status status =
        service_list(&session->service, &call->caller, &read, append_to_list, &listing);
    buffer_append_char(listing.body, ']');
    buffer_release(&listing.scratch);
    arena_release(&listing.arena);
    call_tell_state(call, &read, status);
    if (status != STORE_OK) {
        answer_failure(call, status);
        return;
    }
    struct store_version version = conditions_list_version(call, read.version);
    conditions_tell(call, version, 0);
    if (conditions_refuse(call, version, 0))
        return;
    if (conditions_has(call, version, 0))
        answer_not_modified(call);
    else
        tell_where_to_go_on(call, &listing, read.version);
}
