/* SPDX-License-Identifier: MIT
 *
 * The one way through the service: every request is checked, counted and logged here. */
#include <stdio.h>
#include <string.h>

#include "app/answer.h"
#include "app/app.h"
#include "app/cors.h"
#include "app/endpoints.h"
#include "base/clock.h"
#include "base/text.h"
#include "core/log.h"

/* A request id that may stand in a header and a log as it is: 1 to 128 characters of those that
 * ids are made of. */
static bool id_is_fit(struct str id)
{
    static const char others[] = "-._:/+=@";
    if (id.len == 0 || id.len > 128)
        return false;
    for (size_t i = 0; i < id.len; i++) {
        char c = id.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && memchr(others, c, sizeof others - 1) == NULL)
            return false;
    }
    return true;
}

static void append_hex(char *text, uint64_t number)
{
    for (int i = 15; i >= 0; i--) {
        text[i] = "0123456789abcdef"[number & 15];
        number >>= 4;
    }
}

/* A random number, of the session's and a count. */
static uint64_t next_random(struct app_session *session)
{
    uint64_t mixed = session->id_seed + ++session->id_count * 0x9E3779B97F4A7C15U; /* SplitMix64 */
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9U;
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBU;
    return mixed ^ (mixed >> 31);
}

/* The caller's id, or one of our own. */
static struct str request_id(struct app_session *session, const struct http_request *request)
{
    if (id_is_fit(request->id))
        return request->id;
    append_hex(session->id_text, session->id_seed);
    append_hex(session->id_text + 16, next_random(session));
    return (struct str){session->id_text, 32};
}

/* Takes the caller's trace up with a span of our own, and passes it on in the answer (W3C Trace
 * Context). */
static struct http_trace take_up_trace(struct app_session *session,
                                       const struct http_request *request)
{
    struct http_trace trace = {0};
    if (request->traceparent.len > 0)
        trace = http_read_traceparent(request->traceparent);
    if (trace.trace_id.len == 0)
        return trace;
    struct buffer text = buffer_on(session->trace_text, sizeof session->trace_text);
    append_hex(session->span_id, next_random(session) | 1); /* never zero */
    buffer_append(&text, "00-", 3);
    buffer_append_str(&text, trace.trace_id);
    buffer_append_char(&text, '-');
    buffer_append(&text, session->span_id, sizeof session->span_id);
    buffer_append_char(&text, '-');
    buffer_append_str(&text, trace.flags);
    http_response_header(&session->response, STR("traceparent"), buffer_str(&text));
    return trace;
}

static void answer_allow(const struct call *call, const struct endpoint *endpoint)
{
    struct buffer allow = {0};
    endpoint_allow(endpoint, &allow);
    answer_header(call, STR("Allow"), &allow);
}

static void pass(const struct call *call, const struct endpoint *endpoint)
{
    struct http_response *response = &call->session->response;
    const struct http_request *request = call->request;
    enum http_method method = request->method == HTTP_HEAD ? HTTP_GET : request->method;
    const struct operation *operation = &endpoint->operations[method];
    if (method == HTTP_OPTIONS) {
        response->status = 204;
        answer_allow(call, endpoint);
        if (endpoint->operations[HTTP_PATCH].handle != NULL)
            http_response_header(response, STR("Accept-Patch"), answer_patch_types);
    } else if (operation->handle == NULL) {
        answer_detail(response, 405, STR("Method Not Allowed"));
        answer_allow(call, endpoint);
    } else if (operation->takes_body && request->body_too_large) {
        answer_detail(response, 413, STR("Request body too large"));
    } else {
        operation->handle(call);
    }
}

/* Turns {"detail":…} into problem details, for who likes those better (RFC 9457): a text is the
 * detail, a list of faults the extension member "errors". */
static void answer_as_problem(const struct call *call)
{
    static const struct str type = STR_INIT("application/problem+json");
    struct http_response *response = &call->session->response;
    const size_t before = strlen("{\"detail\":");
    bool named;
    bool json_named;
    if (response->status < 400 || response->body.len <= before)
        return;
    http_response_header(response, STR("Vary"), STR("Accept"));
    unsigned weight = http_accept_weight(call->request->accept, type, &named);
    if (!named || weight == 0 ||
        (http_accept_weight(call->request->accept, STR("application/json"), &json_named) > weight &&
         json_named))
        return;
    struct str detail = arena_copy(&call->session->arena, buffer_str(&response->body));
    detail = (struct str){detail.data + before, detail.len - before - 1};
    if (call->session->arena.failed)
        return;
    response->content_type = type;
    buffer_reset(&response->body, SIZE_MAX);
    buffer_append_str(&response->body, STR("{\"type\":\"about:blank\",\"title\":"));
    text_append_json(&response->body, str_from(http_status_reason(response->status)));
    buffer_append_str(&response->body, STR(",\"status\":"));
    buffer_append_u64(&response->body, response->status);
    if (detail.data[0] == '[')
        buffer_append_str(&response->body,
                          STR(",\"detail\":\"The request has faults\",\"errors\":"));
    else
        buffer_append_str(&response->body, STR(",\"detail\":"));
    buffer_append_str(&response->body, detail);
    buffer_append_char(&response->body, '}');
}

static void answer(struct call *call, const struct app_route *route)
{
    struct http_response *response = &call->session->response;
    if (cors_is_preflight(call)) {
        cors_answer_preflight(call);
        return;
    }
    if (route->endpoint == endpoints_len) {
        answer_detail(response, 404, STR("Not Found"));
    } else {
        call->id = text_percent_decode(&call->session->arena, route->raw_id);
        pass(call, &endpoints[route->endpoint]);
    }
    answer_as_problem(call);
    cors_add_headers(call);
}

/* An answer that did not fit into memory is none. */
static void check_memory(struct app_session *session)
{
    struct http_response *response = &session->response;
    if (!response->body.failed && !session->arena.failed)
        return;
    buffer_release(&response->body);
    response->headers_len = 0;
    answer_detail(response, 500, STR("Internal Server Error"));
    LOG(LOG_ERROR, "out of memory", LOG_NUMBER("status", 500));
}

/* What a request's log line and counters tell besides the request and its answer. */
struct account {
    struct str id;
    struct http_trace trace;
    uint64_t duration_ns;
    uint64_t bytes_out;
};

static void log_request(const struct app_session *session, const struct http_request *request,
                        const struct app_route *route, const struct account *account)
{
    const struct log_field fields[] = {
        LOG_STR("request_id", account->id),
        LOG_TEXT("method", http_method_names[request->method]),
        LOG_TEXT("route", endpoint_labels[route->endpoint]),
        LOG_NUMBER("status", session->response.status),
        LOG_NUMBER("us", account->duration_ns / 1000),
        LOG_NUMBER("bytes", account->bytes_out),
        LOG_STR("trace_id", account->trace.trace_id),
        LOG_STR("span_id", ((struct str){session->span_id, sizeof session->span_id})),
        LOG_STR("parent_id", account->trace.parent_id),
    };
    bool traced = account->trace.trace_id.len > 0;
    log_fields(session->response.status >= 500 ? LOG_ERROR : LOG_INFO, "request", fields,
               traced ? ARRAY_LEN(fields) : ARRAY_LEN(fields) - 3);
}

static void count(struct app_session *session, const struct http_request *request,
                  const struct app_route *route, struct account *account)
{
    const struct http_response *response = &session->response;
    account->duration_ns = clock_steady_ns() - request->started_ns;
    account->bytes_out = response->without_body ? 0 : response->body.len;
    metrics_end(&session->slot, &(struct metrics_request){
                                    .endpoint = route->endpoint,
                                    .method = request->method,
                                    .status = http_status_index(response->status),
                                    .duration_ns = account->duration_ns,
                                    .bytes_in = request->body.len,
                                    .bytes_out = account->bytes_out,
                                });
    log_request(session, request, route, account);
}

bool app_handle(struct app_session *session, const struct http_request *request,
                const struct app_route *route)
{
    struct http_response *response = &session->response;
    struct call call = {.session = session, .request = request};
    metrics_begin(&session->slot);
    answer(&call, route);
    if (response->body.len > session->answer_max || session->elsewhere) {
        session->elsewhere = false;
        metrics_cancel(&session->slot);
        return false;
    }
    check_memory(session);
    response->without_body = request->method == HTTP_HEAD;
    struct account account = {.id = request_id(session, request)};
    http_response_header(response, STR("X-Request-ID"), account.id);
    account.trace = take_up_trace(session, request);
    count(session, request, route, &account);
    return true;
}
