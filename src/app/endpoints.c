/* SPDX-License-Identifier: MIT */
#include "app/endpoints.h"

#include <assert.h>

#include "app/handlers.h"
#include "base/text.h"

#define INTEGRATIONS                                                                               \
    {                                                                                              \
        [HTTP_GET] = {.handle = handle_list, .may_wait = true, .reads = true, .polls = true},      \
        [HTTP_POST] = {.handle = handle_create, .takes_body = true, .may_wait = true},             \
    }
#define INTEGRATION                                                                                \
    {                                                                                              \
        [HTTP_GET] = {.handle = handle_get, .reads = true},                                        \
        [HTTP_PUT] = {.handle = handle_replace, .takes_body = true, .may_wait = true},             \
        [HTTP_PATCH] = {.handle = handle_patch, .takes_body = true, .may_wait = true},             \
        [HTTP_DELETE] = {.handle = handle_remove, .may_wait = true},                               \
    }

#define BATCH                                                                                      \
    {                                                                                              \
        [HTTP_POST] = {.handle = handle_batch, .takes_body = true, .may_wait = true},              \
    }

const struct endpoint endpoints[] = {
    {"/integrations/{id}", INTEGRATION},
    {"/integrations", INTEGRATIONS},
    {"/integrations:batch", BATCH},
    {"/admin/integrations/{id}", INTEGRATION}, /* the chatbot framework's own paths */
    {"/admin/integrations", INTEGRATIONS},
    {"/health", {[HTTP_GET] = {.handle = handle_health}}},
    {"/readiness", {[HTTP_GET] = {.handle = handle_readiness, .may_wait = true, .asks = true}}},
    {"/ready", {[HTTP_GET] = {.handle = handle_ready, .may_wait = true, .asks = true}}},
    {"/metrics", {[HTTP_GET] = {.handle = handle_metrics, .may_wait = true}}},
    {"/openapi.json", {[HTTP_GET] = {.handle = handle_openapi}}},
    {"/docs", {[HTTP_GET] = {.handle = handle_docs}}},
    {"/redoc", {[HTTP_GET] = {.handle = handle_docs}}},
};
const size_t endpoints_len = ARRAY_LEN(endpoints);

const char *const endpoint_labels[] = {
    "/integrations/{id}",
    "/integrations",
    "/integrations:batch",
    "/admin/integrations/{id}",
    "/admin/integrations",
    "/health",
    "/readiness",
    "/ready",
    "/metrics",
    "/openapi.json",
    "/docs",
    "/redoc",
    "unmatched",
};
static_assert(ARRAY_LEN(endpoint_labels) == ARRAY_LEN(endpoints) + 1,
              "a label for every endpoint, and one for none");

void endpoint_allow(const struct endpoint *endpoint, struct buffer *out)
{
    for (unsigned method = 0; method < HTTP_OPTIONS; method++) {
        unsigned row = method == HTTP_HEAD ? HTTP_GET : method;
        if (endpoint->operations[row].handle == NULL)
            continue;
        buffer_append_str(out, str_from(http_method_names[method]));
        buffer_append(out, ", ", 2);
    }
    buffer_append_str(out, str_from(http_method_names[HTTP_OPTIONS]));
}

/* Whether a segment of a path, still encoded, is the plain text `literal`. */
static bool segment_is(struct str segment, struct str literal)
{
    while (segment.len > 0 && literal.len > 0) {
        if (text_percent_next(&segment) != (unsigned char)literal.data[0])
            return false;
        literal.data++;
        literal.len--;
    }
    return segment.len == 0 && literal.len == 0;
}

/* Holds a path against a template, segment by segment: an encoded slash separates nothing. One
 * slash at the end is allowed. */
static bool matches(struct str path, struct str template, struct str *raw_id)
{
    struct str segment;
    struct str part;
    while (str_split(&template, '/', &part)) {
        if (!str_split(&path, '/', &segment))
            return false;
        if (str_has_prefix(part, STR("{"))) {
            if (segment.len == 0)
                return false;
            *raw_id = segment;
        } else if (!segment_is(segment, part)) {
            return false;
        }
    }
    return path.data == NULL || path.len == 0;
}

struct app_route app_route(const struct http_request *request)
{
    struct app_route route = {.changes =
                                  request->method != HTTP_GET && request->method != HTTP_HEAD};
    struct str path = http_target_path(request->target);
    enum http_method method = request->method == HTTP_HEAD ? HTTP_GET : request->method;
    while (route.endpoint < endpoints_len &&
           !matches(path, str_from(endpoints[route.endpoint].template), &route.raw_id))
        route.endpoint++;
    if (route.endpoint < endpoints_len) {
        const struct operation *operation = &endpoints[route.endpoint].operations[method];
        route.asks =
            operation->asks || (operation->reads && http_wants_fresh(request->cache_control));
        bool polls = operation->polls && request->if_none_match.len > 0;
        route.may_wait = (operation->may_wait && !polls) || route.asks;
    }
    return route;
}
