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
