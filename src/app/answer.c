/* SPDX-License-Identifier: MIT */
#include "app/answer.h"

#include "base/text.h"

static const struct str json_type = STR_INIT("application/json");

const struct str answer_patch_types = STR_INIT("application/merge-patch+json, application/json");

struct buffer *answer_json(struct http_response *response, unsigned status)
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

bool answer_outcome(const struct call *call, enum integration_outcome outcome)
{
    struct http_response *response = &call->session->response;
    struct buffer *body = answer_json(response, 422);
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

struct buffer *answer_next_fault(struct http_response *response)
{
    bool first = response->body.len == 0;
    buffer_append_str(&response->body, first ? STR("{\"detail\":[") : STR(","));
    return &response->body;
}

void answer_faults(struct http_response *response, unsigned status)
{
    buffer_append_str(answer_json(response, status), STR("]}"));
}

void answer_header(const struct call *call, struct str name, struct buffer *value)
{
    struct arena *arena = &call->session->arena;
    struct str kept = arena_copy(arena, buffer_str(value));
    arena->failed |= value->failed;
    buffer_release(value);
    http_response_header(&call->session->response, name, kept);
}

void answer_not_modified(struct http_response *response)
{
    buffer_reset(&response->body, SIZE_MAX);
    response->content_type = STR("");
    response->status = 304;
}

void answer_failure(const struct call *call, enum store_status status)
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
    case STORE_CHANGED:
        answer_detail(response, 412, STR("the integration has been changed meanwhile"));
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
