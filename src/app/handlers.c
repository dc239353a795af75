/* SPDX-License-Identifier: MIT */
#include "app/handlers.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/text.h"
#include "model/integration.h"

#define NS_PER_MS 1000000ULL

static const struct str json_type = STR_INIT("application/json");

static struct buffer *answer_json(struct http_response *response, unsigned status)
{
    response->status = status;
    response->content_type = json_type;
    return &response->body;
}

void answer_detail(struct http_response *response, unsigned status, struct str detail)
{
    struct buffer *body = answer_json(response, status);
    buffer_append_str(body, STR("{\"detail\":"));
    text_append_json(body, detail);
    buffer_append_char(body, '}');
}

/* Answers what a store said that is no success. */
static void answer_failure(const struct call *call, enum store_status status)
{
    struct http_response *response = &call->session->response;
    buffer_reset(&response->body, SIZE_MAX);
    switch (status) {
    case STORE_NOT_FOUND:
        answer_detail(response, 404, STR("not found"));
        return;
    case STORE_EXISTS:
        answer_detail(response, 400, STR("integration id already exists"));
        return;
    case STORE_FULL:
        answer_detail(response, 507, STR("store full"));
        return;
    case STORE_AWAY:
        http_response_header(response, STR("Retry-After"), STR("1"));
        answer_detail(response, 503, STR("db not ready"));
        return;
    case STORE_BROKEN:
        atomic_store(&call->session->app->broken, true);
        break;
    case STORE_OK:
        break;
    }
    answer_detail(response, 500, STR("Internal Server Error"));
}

/* ---- what a store is asked, and what it tells in headers ---- */

static uint64_t deadline_after(const struct call *call, uint64_t ms)
{
    return call->request->started_ns + ms * NS_PER_MS;
}

static struct store_read begin_read(const struct call *call)
{
    return (struct store_read){.fresh = http_wants_fresh(call->request->cache_control),
                               .deadline_ns =
                                   deadline_after(call, call->session->app->config->db_timeout_ms)};
}

static void add_number_header(struct http_response *response, struct str name, char text[21],
                              uint64_t number)
{
    int length = snprintf(text, 21, "%" PRIu64, number);
    http_response_header(response, name, (struct str){text, (size_t)length});
}

static void add_revision(const struct call *call, uint64_t revision)
{
    if (call->session->app->backend->replicates)
        add_number_header(&call->session->response, STR("X-Revision"), call->session->revision_text,
                          revision);
}

/* Tells which state of the store was read, and how old that is at most (RFC 9111, section 5.1). */
static void end_read(const struct call *call, const struct store_read *read,
                     enum store_status status)
{
    struct app_session *session = call->session;
    if (!session->app->backend->replicates || (status != STORE_OK && status != STORE_NOT_FOUND))
        return;
    add_revision(call, read->revision);
    add_number_header(&session->response, STR("Age"), session->age_text, read->age_ms / 1000);
}

/* ---- the store, each use of it counted ---- */

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

static enum store_status store_get(const struct call *call, struct store_read *read,
                                   struct buffer *out)
{
    struct app_session *session = call->session;
    uint64_t started_ns = clock_steady_ns();
    enum store_status status = session->app->backend->get(session->store, read, call->id, out);
    return count_operation(call, APP_GET, started_ns, status);
}

static enum store_status store_each(const struct call *call, struct store_read *read,
                                    store_visit *visit, void *context)
{
    struct app_session *session = call->session;
    uint64_t started_ns = clock_steady_ns();
    enum store_status status = session->app->backend->each(session->store, read, visit, context);
    return count_operation(call, APP_LIST, started_ns, status);
}

static enum store_status store_change(const struct call *call, struct store_batch *batch)
{
    struct app_session *session = call->session;
    uint64_t started_ns = clock_steady_ns();
    enum store_status status = session->app->backend->change(session->store, batch);
    return count_operation(call, APP_CHANGE, started_ns, status);
}

static enum store_status store_ready(const struct call *call, uint64_t deadline_ns)
{
    struct app_session *session = call->session;
    uint64_t started_ns = clock_steady_ns();
    enum store_status status = session->app->backend->ready(session->store, deadline_ns);
    return count_operation(call, APP_READY, started_ns, status);
}

/* ---- the operations ---- */

static bool append_to_list(void *context, const struct store_record *record)
{
    struct buffer *list = context;
    if (list->len > 1)
        buffer_append_char(list, ',');
    buffer_append_str(list, record->document);
    return true;
}

void handle_list(const struct call *call)
{
    struct app_session *session = call->session;
    struct store_read read = begin_read(call);
    struct buffer *body = answer_json(&session->response, 200);
    buffer_append_char(body, '[');
    enum store_status status = store_each(call, &read, append_to_list, body);
    buffer_append_char(body, ']');
    end_read(call, &read, status);
    if (status != STORE_OK)
        answer_failure(call, status);
}

void handle_get(const struct call *call)
{
    struct app_session *session = call->session;
    struct buffer *body = answer_json(&session->response, 200);
    struct store_read read = begin_read(call);
    enum store_status status = STORE_NOT_FOUND;
    if (integration_id_is_valid(call->id)) {
        status = store_get(call, &read, body);
        end_read(call, &read, status);
    }
    if (status != STORE_OK)
        answer_failure(call, status);
}

/* Reads the request's body as an integration; answers what is wrong with it. */
static bool read_integration(const struct call *call, struct integration *integration)
{
    struct http_response *response = &call->session->response;
    struct integration_rules rules = {
        .is_json = http_content_type_is_json(call->request->content_type), .path_id = call->id};
    struct buffer *body = answer_json(response, 422);
    buffer_append_str(body, STR("{\"detail\":"));
    enum integration_outcome outcome =
        integration_parse(&call->session->arena, call->request->body, &rules, integration, body);
    buffer_append_char(body, '}');
    if (outcome == INTEGRATION_INVALID)
        return false;
    buffer_reset(body, SIZE_MAX);
    if (outcome == INTEGRATION_UNREADABLE)
        answer_detail(response, 400, STR("There was an error parsing the body"));
    else if (outcome == INTEGRATION_NO_MEMORY)
        answer_detail(response, 500, STR("Internal Server Error"));
    return outcome == INTEGRATION_OK;
}

static enum store_status make_change(const struct call *call, const struct store_change *change)
{
    const struct app *app = call->session->app;
    struct store_batch batch = {.changes = change,
                                .len = 1,
                                .deadline_ns = deadline_after(call, app->config->db_timeout_ms)};
    enum store_status status = store_change(call, &batch);
    if (status == STORE_OK)
        add_revision(call, batch.revision);
    return status;
}

static void write_integration(const struct call *call, enum store_operation operation,
                              unsigned success)
{
    struct integration integration;
    if (!read_integration(call, &integration))
        return;
    struct store_change change = {operation, integration.id, integration.document};
    /* The answer comes first: what is committed must not fail for want of memory. */
    struct buffer *body = answer_json(&call->session->response, success);
    buffer_append_str(body, integration.document);
    enum store_status status = body->failed ? STORE_AWAY : make_change(call, &change);
    if (status != STORE_OK)
        answer_failure(call, status);
}

void handle_create(const struct call *call)
{
    write_integration(call, STORE_CREATE, 201);
}

void handle_replace(const struct call *call)
{
    write_integration(call, STORE_REPLACE, 200);
}

void handle_remove(const struct call *call)
{
    struct store_change change = {.operation = STORE_REMOVE, .id = call->id};
    enum store_status status = STORE_NOT_FOUND;
    if (integration_id_is_valid(call->id))
        status = make_change(call, &change);
    if (status == STORE_OK)
        call->session->response.status = 204;
    else
        answer_failure(call, status);
}

void handle_health(const struct call *call)
{
    struct buffer *body = answer_json(&call->session->response, 200);
    buffer_append_str(body, STR("{\"status\":\"ok\",\"app\":"));
    text_append_json(body, str_from(call->session->app->config->app_name));
    buffer_append_char(body, '}');
}

static bool store_is_ready(const struct call *call)
{
    struct app_session *session = call->session;
    const struct store_backend *backend = session->app->backend;
    const struct config *config = session->app->config;
    struct store_stats stats;
    if (backend->replicates && config->readiness_policy == READINESS_SERVE_STALE)
        return backend->stats(session->store, &stats) == STORE_OK &&
               stats.age_ms <= config->max_staleness_ms;
    return store_ready(call, deadline_after(call, config->readiness_timeout_ms)) == STORE_OK;
}

static bool is_stopping(const struct app *app)
{
    return atomic_load(&app->stopping) ||
           (app->service_stopping != NULL && atomic_load(app->service_stopping));
}

static void answer_readiness(const struct call *call, struct str ready)
{
    struct app_session *session = call->session;
    if (is_stopping(session->app))
        answer_detail(&session->response, 503, STR("not ready"));
    else if (!store_is_ready(call))
        answer_detail(&session->response, 503, STR("db not ready"));
    else
        buffer_append_str(answer_json(&session->response, 200), ready);
}

void handle_readiness(const struct call *call)
{
    answer_readiness(call, STR("{\"status\":\"ready\"}"));
}

void handle_ready(const struct call *call)
{
    answer_readiness(call, STR("{\"status\":\"ok\"}"));
}

/* What the store tells of itself; of its database, if it has one. */
static void render_store(const struct app *app, const struct store_stats *stats,
                         const struct metrics_page *page)
{
    const struct metrics_sample samples[] = {
        {"integration_store_integrations", NULL, "Integrations in the store.", stats->integrations},
        {"integration_store_revision", NULL, "Changes the store has seen.", stats->revision},
        {"integration_store_used_bytes", NULL, "Size of the store.", stats->used_bytes},
        {"integration_store_max_bytes", NULL, "Size the store can grow to.", stats->max_bytes},
        {"integration_store_readers", NULL, "Most reader slots ever in use at once.",
         stats->readers},
    };
    const struct metrics_sample database[] = {
        {"integration_database_up", NULL, "Whether the database answers the follower.",
         stats->database_up},
        {"integration_database_connections", "state=\"idle\"", "Connections to the database.",
         stats->connections_idle},
        {"integration_database_connections", "state=\"busy\"", NULL, stats->connections_busy},
        {"integration_database_connections_max", NULL, "Connections there may be.",
         stats->connections_max},
        {"integration_database_connects_total", NULL, "Connections opened.", stats->connects},
        {"integration_database_commits_total", NULL, "Changes committed.", stats->commits},
        {"integration_database_failures_total", NULL,
         "Changes and reads that the database did not take.", stats->failures},
        {"integration_replica_copies_total", NULL, "Copies made of the whole database.",
         stats->copies},
        {"integration_replica_revision", NULL, "Revision of the database that the replica has.",
         stats->revision},
    };
    metrics_render_samples(samples, ARRAY_LEN(samples), page);
    if (!app->backend->replicates)
        return;
    metrics_render_samples(database, ARRAY_LEN(database), page);
    if (stats->age_ms == UINT64_MAX) /* there is no replica yet */
        return;
    const struct metrics_sample age = {"integration_replica_age_seconds", NULL,
                                       "Time since the replica was known to lack nothing.",
                                       stats->age_ms / 1000};
    metrics_render_samples(&age, 1, page);
}

/* OpenMetrics for who names it and likes nothing better, as Prometheus does. */
static enum metrics_format choose_format(struct str accept)
{
    bool named;
    bool text_named;
    unsigned openmetrics = http_accept_weight(accept, STR("application/openmetrics-text"), &named);
    unsigned text = http_accept_weight(accept, STR("text/plain"), &text_named);
    return named && openmetrics > 0 && openmetrics >= text ? METRICS_OPENMETRICS
                                                           : METRICS_PROMETHEUS;
}

void handle_metrics(const struct call *call)
{
    struct app_session *session = call->session;
    const struct app *app = session->app;
    struct store_stats stats = {0};
    bool store_up = app->backend->stats(session->store, &stats) == STORE_OK;
    const struct metrics_page page = {choose_format(call->request->accept),
                                      &session->response.body};
    const struct metrics_sample samples[] = {
        {"process_start_time_seconds", NULL, "Start of the service, in seconds since 1970.",
         app->started_us / 1000000},
        {"integration_build_info", "version=\"" PACKAGE_VERSION "\"",
         "The program's version, as a label.", 1},
        {"integration_store_up", NULL, "Whether the store answers.", store_up},
    };
    session->response.status = 200;
    session->response.content_type = metrics_content_type(page.format);
    metrics_render(app->metrics, &page);
    metrics_render_samples(samples, ARRAY_LEN(samples), &page);
    if (store_up)
        render_store(app, &stats, &page);
    metrics_render_end(&page);
}
