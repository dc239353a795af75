/* SPDX-License-Identifier: MIT
 *
 * A table of endpoints that replaces src/app/table.c: integrations, and a path on which requests
 * wait until the revision of the store exceeds ?after=, but at most ?ms= milliseconds:
 * GET /wait?after=7&ms=2000   ->   {"revision":9} */
#include "app/answer.h"
#include "app/endpoints.h"
#include "app/handlers.h"
#include "base/clock.h"

static uint64_t parameter(const struct http_request *request, struct str name)
{
    struct str rest = http_target_query(request->target);
    struct str value;
    struct str found;
    uint64_t number = 0;
    while (str_split(&rest, '&', &value))
        if (str_split(&value, '=', &found) && str_equal(found, name) && str_to_u64(value, &number))
            return number;
    return 0;
}

static uint64_t wait_for_revision(const struct call *call)
{
    struct app_session *session = call->session;
    const struct http_request *request = call->request;
    struct store_version version = {0};
    uint64_t until_ns = request->started_ns + parameter(request, STR("ms")) * NS_PER_MS;
    bool behind = service_version(&session->service, &version) == STORE_OK &&
                  version.revision <= parameter(request, STR("after"));
    return behind && clock_steady_ns() < until_ns ? until_ns : 0;
}

static void handle_wait(const struct call *call)
{
    struct store_version version = {0};
    if (service_version(&call->session->service, &version) != STORE_OK) {
        answer_failure(call, STORE_AWAY);
        return;
    }
    struct buffer *body = answer_json(call, 200);
    buffer_append_str(body, STR("{\"revision\":"));
    buffer_append_u64(body, version.revision);
    buffer_append_char(body, '}');
}

static const struct operation waiting[HTTP_METHODS] = {
    [HTTP_GET] = OPERATION_THAT_WAITS(handle_wait, wait_for_revision, SCOPE_READ)};
static const struct operation integrations[HTTP_METHODS] = {
    [HTTP_GET] = OPERATION(handle_list, OPERATION_LIST, SCOPE_READ),
    [HTTP_POST] = OPERATION_WITH_BODY(handle_create, OPERATION_CHANGE, SCOPE_WRITE)};
static const struct operation integration[HTTP_METHODS] = {
    [HTTP_GET] = OPERATION(handle_get, OPERATION_READ, SCOPE_READ),
    [HTTP_PUT] = OPERATION_WITH_BODY(handle_replace, OPERATION_CHANGE, SCOPE_WRITE)};
static const struct operation metrics[HTTP_METHODS] = {
    [HTTP_GET] = OPERATION(handle_metrics, OPERATION_SCRAPE, SCOPE_METRICS)};

const struct endpoint endpoints[] = {{"/wait", waiting},
                                     {"/integrations/{id}", integration},
                                     {"/integrations", integrations},
                                     {"/metrics", metrics}};
const size_t endpoints_len = ARRAY_LEN(endpoints);
const char *const endpoint_labels[] = {"/wait", "/integrations/{id}", "/integrations", "/metrics",
                                       "unmatched"};
