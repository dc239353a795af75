/* SPDX-License-Identifier: MIT
 *
 * The endpoints of the service. The build checks that the API description matches these rows. */
#include "app/endpoints.h"
#include "app/handlers.h"

static const struct operation integrations[HTTP_METHODS] = {
    [HTTP_GET] = OPERATION(handle_list, OPERATION_LIST, SCOPE_READ),
    [HTTP_POST] = OPERATION_WITH_BODY(handle_create, OPERATION_CHANGE, SCOPE_WRITE),
};
static const struct operation integration[HTTP_METHODS] = {
    [HTTP_GET] = OPERATION(handle_get, OPERATION_READ, SCOPE_READ),
    [HTTP_PUT] = OPERATION_WITH_BODY(handle_replace, OPERATION_CHANGE, SCOPE_WRITE),
    [HTTP_PATCH] = OPERATION_WITH_BODY(handle_patch, OPERATION_CHANGE, SCOPE_WRITE),
    [HTTP_DELETE] = OPERATION(handle_remove, OPERATION_CHANGE, SCOPE_WRITE),
};
static const struct operation history[HTTP_METHODS] = {
    [HTTP_GET] = OPERATION(handle_history, OPERATION_HISTORY, SCOPE_READ)};
static const struct operation restore[HTTP_METHODS] = {
    [HTTP_POST] = OPERATION_WITH_BODY(handle_restore, OPERATION_CHANGE, SCOPE_WRITE)};
static const struct operation changes[HTTP_METHODS] = {
    [HTTP_GET] = OPERATION_THAT_WAITS(handle_changes, wait_for_changes, SCOPE_READ)};
static const struct operation batch[HTTP_METHODS] = {
    [HTTP_POST] = OPERATION_WITH_BODY(handle_batch, OPERATION_CHANGE, SCOPE_WRITE),
};
static const struct operation providers[HTTP_METHODS] = {
    [HTTP_GET] = OPERATION(handle_providers, OPERATION_PLAIN, SCOPE_READ)};
static const struct operation provider[HTTP_METHODS] = {
    [HTTP_GET] = OPERATION(handle_provider, OPERATION_PLAIN, SCOPE_READ)};
static const struct operation health[HTTP_METHODS] = {
    [HTTP_GET] = OPERATION(handle_health, OPERATION_PLAIN, SCOPE_NONE)};
static const struct operation readiness[HTTP_METHODS] = {
    [HTTP_GET] = OPERATION(handle_readiness, OPERATION_PROBE, SCOPE_NONE)};
static const struct operation ready[HTTP_METHODS] = {
    [HTTP_GET] = OPERATION(handle_ready, OPERATION_PROBE, SCOPE_NONE)};
static const struct operation metrics[HTTP_METHODS] = {
    [HTTP_GET] = OPERATION(handle_metrics, OPERATION_SCRAPE, SCOPE_METRICS)};
static const struct operation openapi[HTTP_METHODS] = {
    [HTTP_GET] = OPERATION(handle_openapi, OPERATION_PLAIN, SCOPE_NONE)};
static const struct operation docs[HTTP_METHODS] = {
    [HTTP_GET] = OPERATION(handle_docs, OPERATION_PLAIN, SCOPE_NONE)};

#define ENDPOINTS(ROW)                                                                             \
    ROW("/integrations/{id}", integration)                                                         \
    ROW("/integrations", integrations)                                                             \
    ROW("/integrations/{id}/history", history)                                                     \
    ROW("/integrations/{id}/restore", restore)                                                     \
    ROW("/changes", changes)                                                                       \
    ROW("/integrations:batch", batch)                                                              \
    ROW("/admin/integrations/{id}", integration) /* paths of the chatbot framework */              \
    ROW("/admin/integrations", integrations)                                                       \
    ROW("/providers", providers)                                                                   \
    ROW("/providers/{name}", provider)                                                             \
    ROW("/health", health)                                                                         \
    ROW("/readiness", readiness)                                                                   \
    ROW("/ready", ready)                                                                           \
    ROW("/metrics", metrics)                                                                       \
    ROW("/openapi.json", openapi)                                                                  \
    ROW("/docs", docs)                                                                             \
    ROW("/redoc", docs)

#define AS_ENDPOINT(template_, operations_) {template_, operations_},
#define AS_LABEL(template_, operations_) template_,

const struct endpoint endpoints[] = {ENDPOINTS(AS_ENDPOINT)};
const size_t endpoints_len = ARRAY_LEN(endpoints);
const char *const endpoint_labels[] = {ENDPOINTS(AS_LABEL) "unmatched"};
