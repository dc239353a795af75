/* SPDX-License-Identifier: MIT */
#include "app/gate.h"

#include "app/admission.h"
#include "app/answer.h"
#include "app/cors.h"
#include "app/cross_site.h"
#include "app/endpoints.h"
#include "base/text.h"

static void answer_allow(const struct call *call, const struct endpoint *endpoint)
{
    struct buffer allow = {0};
    endpoint_allow(endpoint, &allow);
    answer_header(call, STR("Allow"), &allow);
}

static void answer_options(const struct call *call, const struct endpoint *endpoint)
{
    struct http_response *response = &call->session->response;
    response->status = 204;
    answer_allow(call, endpoint);
    if (endpoint_operation(endpoint, HTTP_PATCH)->handle != NULL)
        http_response_header(response, STR("Accept-Patch"), answer_patch_types);
}

/* Whether the body is in another form (RFC 9110, section 8.4), gzip for example. */
static bool is_encoded(const struct http_request *request)
{
    return request->content_encoding.len > 0 &&
           !str_equal_ignore_case(request->content_encoding, STR("identity"));
}

static void pass(const struct call *call, const struct endpoint *endpoint)
{
    const struct http_request *request = call->request;
    const struct operation *operation = endpoint_operation(endpoint, request->method);
    if (request->method == HTTP_OPTIONS) {
        answer_options(call, endpoint);
    } else if (operation->handle == NULL) {
        answer_error(call, 405, STR("Method Not Allowed"));
        answer_allow(call, endpoint);
    } else if (!admission_admit(call, operation)) {
        return;
    } else if (operation->takes_body && is_encoded(request)) {
        http_response_header(&call->session->response, STR("Accept-Encoding"), STR("identity"));
        answer_error(call, 415, STR("the body has a Content-Encoding: send it without"));
    } else if (operation->takes_body && request->body_too_large) {
        answer_error(call, 413, STR("Request body too large"));
    } else {
        operation->handle(call);
    }
}

void gate_pass(struct call *call, const struct app_route *route)
{
    admission_identify(call);
    if (cors_is_preflight(call)) {
        cors_answer_preflight(call);
        return;
    }
    if (cross_site_is_refused(call)) {
        answer_error(call, 403,
                     STR("a page of another site asked for this change: its origin is "
                         "not in CORS_ALLOW_ORIGINS"));
    } else if (route->endpoint == endpoints_len) {
        answer_error(call, 404, STR("Not Found"));
    } else {
        call->id = text_percent_decode(&call->session->arena, route->raw_id);
        if (!call->session->arena.failed) /* otherwise it is answered that memory is lacking */
            pass(call, &endpoints[route->endpoint]);
    }
    answer_write_error(call);
    cors_add_headers(call);
    if (route->endpoint != endpoints_len)
        admission_add_headers(call, &endpoints[route->endpoint]);
}
