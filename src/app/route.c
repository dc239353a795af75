/* SPDX-License-Identifier: MIT
 *
 * Maps a request to its endpoint, and to the kind of thread that may answer it. */
#include "app/admission.h"
#include "app/conditions.h"
#include "app/endpoints.h"
#include "base/clock.h"
#include "base/text.h"

const struct operation *endpoint_operation(const struct endpoint *endpoint, enum http_method method)
{
    return &endpoint->operations[method == HTTP_HEAD ? HTTP_GET : method];
}

void endpoint_allow(const struct endpoint *endpoint, struct buffer *out)
{
    for (unsigned method = 0; method < HTTP_OPTIONS; method++) {
        if (endpoint_operation(endpoint, (enum http_method)method)->handle == NULL)
            continue;
        buffer_append_str(out, str_from(http_method_names[method]));
        buffer_append(out, ", ", 2);
    }
    buffer_append_str(out, str_from(http_method_names[HTTP_OPTIONS]));
}

/* ---- finding the endpoint ---- */

/* Whether a path segment, still percent-encoded, equals the plain text `literal`. */
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

/* Matches a path against a template segment by segment, so that an encoded slash does not separate
 * segments. One trailing slash is allowed. */
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

static void find_endpoint(const struct http_request *request, struct app_route *route)
{
    struct str path = http_target_path(request->target);
    while (route->endpoint < endpoints_len &&
           !matches(path, str_from(endpoints[route->endpoint].template), &route->raw_id))
        route->endpoint++;
}

/* ---- choosing the kind of thread ---- */

/* Whether a client asks for a list that it already has: that can be answered without blocking. */
static bool is_poll(struct app_session *session, const struct http_request *request)
{
    struct store_version version;
    struct store_version known = conditions_claimed(request);
    return known.tag != 0 && service_version(&session->service, &version) == STORE_OK &&
           store_version_equal(version, known);
}

/* Until when a request waits. Who may not have the answer does not wait for it. */
static uint64_t wait_of(struct app_session *session, const struct http_request *request,
                        const struct operation *operation)
{
    struct call call = {.session = session,
                        .request = request,
                        .caller.deadline_ns =
                            clock_steady_ns() /* this thread does not wait for a database */};
    admission_identify(&call);
    uint64_t until_ns = admission_admit(&call, operation) ? operation->wait(&call) : 0;
    app_finish(session);
    return until_ns;
}

static enum app_where where_of(struct app_session *session, const struct http_request *request,
                               const struct operation *operation, uint64_t *parked_until_ns)
{
    bool replicates = service_replicates(&session->app->service);
    bool fresh = replicates && http_wants_fresh(request->cache_control);
    switch (operation->kind) {
    case OPERATION_PLAIN:
        return APP_AT_ONCE;
    case OPERATION_READ:
        return fresh ? APP_DATABASE : APP_AT_ONCE;
    case OPERATION_LIST:
        return fresh ? APP_DATABASE : is_poll(session, request) ? APP_AT_ONCE : APP_READS;
    case OPERATION_HISTORY:
        return replicates ? APP_DATABASE : APP_READS;
    case OPERATION_CHANGE:
        return APP_CHANGES;
    case OPERATION_PROBE:
    case OPERATION_SCRAPE:
        return APP_PROBES;
    case OPERATION_WAIT:
        if (!atomic_load(&session->app->leaving))
            *parked_until_ns = wait_of(session, request, operation);
        if (*parked_until_ns > 0)
            return APP_PARKED;
        return replicates ? APP_DATABASE : APP_READS;
    }
    return APP_READS;
}

struct app_route app_route(struct app_session *session, const struct http_request *request)
{
    struct app_route route = {.where = APP_AT_ONCE};
    find_endpoint(request, &route);
    if (route.endpoint < endpoints_len)
        route.where = where_of(session, request,
                               endpoint_operation(&endpoints[route.endpoint], request->method),
                               &route.parked_until_ns);
    return route;
}
