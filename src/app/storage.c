/* SPDX-License-Identifier: MIT */
#include "app/storage.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"

uint64_t storage_deadline(const struct call *call, uint64_t ms)
{
    return call->request->started_ns + ms * NS_PER_MS;
}

struct store_read storage_begin_read(const struct call *call)
{
    return (struct store_read){
        .fresh = http_wants_fresh(call->request->cache_control),
        .deadline_ns = storage_deadline(call, call->session->app->config->db_timeout_ms)};
}

static void add_number_header(struct http_response *response, struct str name, char text[21],
                              uint64_t number)
{
    int length = snprintf(text, 21, "%" PRIu64, number);
    http_response_header(response, name, (struct str){text, (size_t)length});
}

void storage_tell_revision(const struct call *call, uint64_t revision)
{
    if (call->session->app->backend->replicates)
        add_number_header(&call->session->response, STR("X-Revision"), call->session->revision_text,
                          revision);
}

void storage_end_read(const struct call *call, const struct store_read *read,
                      enum store_status status)
{
    struct app_session *session = call->session;
    if (!session->app->backend->replicates || (status != STORE_OK && status != STORE_NOT_FOUND))
        return;
    storage_tell_revision(call, read->revision);
    add_number_header(&session->response, STR("Age"), session->age_text, read->age_ms / 1000);
}

static enum store_status count_operation(const struct call *call, enum app_operation operation,
                                         uint64_t started_ns, enum store_status status)
{
    metrics_count_operation(
        &call->session->slot,
        &(struct metrics_operation){.operation = operation,
                                    .outcome = status,
                                    .duration_ns = clock_steady_ns() - started_ns});
    return status;
}

enum store_status storage_get(const struct call *call, struct str id, struct store_read *read,
                              struct store_record *record, struct buffer *out)
{
    struct app_session *session = call->session;
    uint64_t started_ns = clock_steady_ns();
    enum store_status status = session->app->backend->get(session->store, read, id, record, out);
    return count_operation(call, APP_GET, started_ns, status);
}

enum store_status storage_get_to_change(const struct call *call, struct str id, bool fresh,
                                        struct store_record *record, struct buffer *out)
{
    struct store_read read = storage_begin_read(call);
    read.fresh |= fresh;
    enum store_status status = storage_get(call, id, &read, record, out);
    if (status != STORE_NOT_FOUND || read.fresh || !call->session->app->backend->replicates)
        return status;
    read.fresh = true;
    return storage_get(call, id, &read, record, out);
}

enum store_status storage_each(const struct call *call, struct store_read *read, store_visit *visit,
                               void *context)
{
    struct app_session *session = call->session;
    uint64_t started_ns = clock_steady_ns();
    enum store_status status = session->app->backend->each(session->store, read, visit, context);
    if (session->elsewhere) /* that session will count it */
        return status;
    return count_operation(call, APP_LIST, started_ns, status);
}

enum store_status storage_change(const struct call *call, struct store_batch *batch)
{
    struct app_session *session = call->session;
    uint64_t started_ns = clock_steady_ns();
    enum store_status status = session->app->backend->change(session->store, batch);
    return count_operation(call, APP_CHANGE, started_ns, status);
}

enum store_status storage_ready(const struct call *call, uint64_t deadline_ns)
{
    struct app_session *session = call->session;
    uint64_t started_ns = clock_steady_ns();
    enum store_status status = session->app->backend->ready(session->store, deadline_ns);
    return count_operation(call, APP_READY, started_ns, status);
}
