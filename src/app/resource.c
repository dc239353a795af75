/* SPDX-License-Identifier: MIT */
#include "app/answer.h"
#include "app/handlers.h"
#include "app/storage.h"
#include "model/integration.h"

void handle_get(const struct call *call)
{
    struct app_session *session = call->session;
    struct buffer *body = answer_json(&session->response, 200);
    struct store_read read = storage_begin_read(call);
    enum store_status status = STORE_NOT_FOUND;
    if (integration_id_is_valid(call->id)) {
        status = storage_get(call, &read, body);
        storage_end_read(call, &read, status);
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
                                .deadline_ns = storage_deadline(call, app->config->db_timeout_ms)};
    enum store_status status = storage_change(call, &batch);
    if (status == STORE_OK)
        storage_tell_revision(call, batch.revision);
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
