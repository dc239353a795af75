/* SPDX-License-Identifier: MIT */
#include "app/handlers.h"

#include "base/text.h"
#include "model/integration.h"

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
    struct buffer *body = answer_json(&session->response, 200);
    buffer_append_char(body, '[');
    enum store_status status = session->app->backend->each(session->store, append_to_list, body);
    buffer_append_char(body, ']');
    if (status != STORE_OK)
        answer_failure(call, status);
}

void handle_get(const struct call *call)
{
    struct app_session *session = call->session;
    struct buffer *body = answer_json(&session->response, 200);
    enum store_status status = STORE_NOT_FOUND;
    if (integration_id_is_valid(call->id))
        status = session->app->backend->get(session->store, call->id, body);
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
    struct store_batch batch = {.changes = change, .len = 1};
    return call->session->app->backend->change(call->session->store, &batch);
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

static void answer_readiness(const struct call *call, struct str ready)
{
    struct app_session *session = call->session;
    struct store_stats stats;
    if (atomic_load(&session->app->stopping))
        answer_detail(&session->response, 503, STR("not ready"));
    else if (session->app->backend->stats(session->store, &stats) != STORE_OK)
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

void handle_metrics(const struct call *call)
{
    struct app_session *session = call->session;
    const struct app *app = session->app;
    struct store_stats stats = {0};
    bool store_up = app->backend->stats(session->store, &stats) == STORE_OK;
    const struct metrics_gauge gauges[] = {
        {"process_start_time_seconds", "Start of the service, in seconds since 1970.",
         app->started_us / 1000000},
        {"integration_store_up", "Whether the store answers.", store_up},
        {"integration_store_integrations", "Integrations in the store.", stats.integrations},
        {"integration_store_revision", "Changes the store has seen.", stats.revision},
        {"integration_store_used_bytes", "Size of the store.", stats.used_bytes},
        {"integration_store_max_bytes", "Size the store can grow to.", stats.max_bytes},
        {"integration_store_readers", "Most reader slots ever in use at once.", stats.readers},
    };
    session->response.status = 200;
    session->response.content_type = STR("text/plain; version=0.0.4; charset=utf-8");
    metrics_render(app->metrics, gauges, store_up ? ARRAY_LEN(gauges) : 2, &session->response.body);
}
