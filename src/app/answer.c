/* SPDX-License-Identifier: MIT */
#include "app/answer.h"

#include "base/text.h"

static const struct str json_type = STR_INIT("application/json");
static const struct str problem_type = STR_INIT("application/problem+json");

const struct str answer_patch_types = STR_INIT("application/merge-patch+json, application/json");

struct buffer *answer_json(const struct call *call, unsigned status)
{
    struct http_response *response = &call->session->response;
    response->status = status;
    response->content_type = json_type;
    return &response->body;
}

void answer_header(const struct call *call, struct str name, struct buffer *value)
{
    struct arena *arena = &call->session->arena;
    struct str kept = arena_copy(arena, buffer_str(value));
    arena->failed |= value->failed;
    buffer_release(value);
    http_response_header(&call->session->response, name, kept);
}

void answer_privately(const struct call *call)
{
    http_response_header(&call->session->response, STR("Cache-Control"),
                         STR("private, no-cache, no-store"));
}

void answer_not_modified(const struct call *call)
{
    struct http_response *response = &call->session->response;
    buffer_reset(&response->body, SIZE_MAX);
    response->content_type = STR("");
    response->status = 304;
}

/* ---- errors ---- */

void answer_error(const struct call *call, unsigned status, struct str detail)
{
    struct http_response *response = &call->session->response;
    buffer_reset(&response->body, SIZE_MAX);
    response->status = status;
    response->part = HTTP_WHOLE;
    call->session->error = detail;
}

void answer_faults(const struct call *call, unsigned status)
{
    answer_error(call, status, (struct str){NULL, 0});
}

/* How a store status is reported to the client, indexed by enum store_status. */
static const struct {
    unsigned status;
    struct str detail;
} failures[] = {
    [STORE_OK] = {500, STR_INIT("Internal Server Error")},
    [STORE_NOT_FOUND] = {404, STR_INIT("not found")},
    [STORE_EXISTS] = {400, STR_INIT("integration id already exists")},
    [STORE_CHANGED] = {412, STR_INIT("the integration has been changed meanwhile")},
    [STORE_FULL] = {507, STR_INIT("store full")},
    [STORE_AWAY] = {503, STR_INIT("db not ready")},
    [STORE_UNKNOWN] = {503, STR_INIT("db not ready")},
    [STORE_SEALED] = {500, STR_INIT("the settings are sealed with a key that is missing here")},
    [STORE_DAMAGED] = {500, STR_INIT("the stored integration is damaged")},
    [STORE_BROKEN] = {500, STR_INIT("Internal Server Error")},
};

void answer_failure(const struct call *call, enum store_status status)
{
    if (status == STORE_UNKNOWN) /* every other failure means that nothing was changed */
        http_response_header(&call->session->response, STR("X-Outcome"), STR("unknown"));
    if (status == STORE_AWAY || status == STORE_UNKNOWN)
        http_response_header(&call->session->response, STR("Retry-After"), STR("1"));
    answer_error(call, failures[status].status, failures[status].detail);
}

bool answer_outcome(const struct call *call, enum integration_outcome outcome)
{
    switch (outcome) {
    case INTEGRATION_OK:
        return true;
    case INTEGRATION_INVALID:
        answer_faults(call, 422);
        break;
    case INTEGRATION_UNREADABLE:
        answer_error(call, 400, STR("There was an error parsing the body"));
        break;
    case INTEGRATION_NO_MEMORY:
        answer_error(call, 500, STR("Internal Server Error"));
        break;
    }
    return false;
}

/* Appends the error: its text, or the list of faults. */
static void append_detail(const struct app_session *session, struct buffer *body)
{
    if (session->error.data != NULL)
        text_append_json(body, session->error);
    else
        faults_append_json(body, &session->faults);
}

void answer_write_detail(const struct call *call)
{
    struct app_session *session = call->session;
    struct buffer *body = answer_json(call, session->response.status);
    buffer_append_str(body, STR("{\"detail\":"));
    append_detail(session, body);
    buffer_append_char(body, '}');
}

/* An error text becomes the "detail" member of the problem, a list of faults the extension member
 * "errors". */
static void write_problem(const struct call *call)
{
    struct app_session *session = call->session;
    struct http_response *response = &session->response;
    struct buffer *body = &response->body;
    response->content_type = problem_type;
    buffer_append_str(body, STR("{\"type\":\"about:blank\",\"title\":"));
    text_append_json(body, str_from(http_status_reason(response->status)));
    buffer_append_str(body, STR(",\"status\":"));
    buffer_append_u64(body, response->status);
    buffer_append_str(body, session->error.data != NULL
                                ? STR(",\"detail\":")
                                : STR(",\"detail\":\"The request has faults\",\"errors\":"));
    append_detail(session, body);
    buffer_append_char(body, '}');
}

/* Whether the client names problem details, and does not name JSON with a higher weight. */
static bool likes_problems(struct str accept)
{
    bool named;
    bool json_named;
    unsigned weight = http_accept_weight(accept, problem_type, &named);
    unsigned json_weight = http_accept_weight(accept, json_type, &json_named);
    return named && weight > 0 && !(json_named && json_weight > weight);
}

void answer_write_error(const struct call *call)
{
    struct http_response *response = &call->session->response;
    if (response->status < 400)
        return;
    http_response_header(response, STR("Vary"), STR("Accept"));
    if (likes_problems(call->request->accept))
        write_problem(call);
    else
        answer_write_detail(call);
}
