/* SPDX-License-Identifier: MIT
 *
 * The endpoints of the service. The build checks that the API description matches these rows. */
#include "app/endpoints.h"
#include "app/handlers.h"

static const struct operation integrations[HTTP_METHODS] = {
    [HTTP_GET] = {.handle = handle_list, .kind = OPERATION_LIST},
    [HTTP_POST] = {.handle = handle_create, .kind = OPERATION_CHANGE, .takes_body = true},
};
static const struct operation integration[HTTP_METHODS] = {
    [HTTP_GET] = {.handle = handle_get, .kind = OPERATION_READ},
    [HTTP_PUT] = {.handle = handle_replace, .kind = OPERATION_CHANGE, .takes_body = true},
    [HTTP_PATCH] = {.handle = handle_patch, .kind = OPERATION_CHANGE, .takes_body = true},
    [HTTP_DELETE] = {.handle = handle_remove, .kind = OPERATION_CHANGE},
};
static const struct operation batch[HTTP_METHODS] = {
    [HTTP_POST] = {.handle = handle_batch, .kind = OPERATION_CHANGE, .takes_body = true},
};
static const struct operation health[HTTP_METHODS] = {[HTTP_GET] = {.handle = handle_health}};
static const struct operation readiness[HTTP_METHODS] = {
    [HTTP_GET] = {.handle = handle_readiness, .kind = OPERATION_PROBE}};
static const struct operation ready[HTTP_METHODS] = {
    [HTTP_GET] = {.handle = handle_ready, .kind = OPERATION_PROBE}};
static const struct operation metrics[HTTP_METHODS] = {
    [HTTP_GET] = {.handle = handle_metrics, .kind = OPERATION_SCRAPE}};
static const struct operation openapi[HTTP_METHODS] = {[HTTP_GET] = {.handle = handle_openapi}};
static const struct operation docs[HTTP_METHODS] = {[HTTP_GET] = {.handle = handle_docs}};

#define ENDPOINTS(ROW)                                                                             \
    ROW("/integrations/{id}", integration)                                                         \
    ROW("/integrations", integrations)                                                             \
    ROW("/integrations:batch", batch)                                                              \
    ROW("/admin/integrations/{id}", integration) /* paths of the chatbot framework */              \
    ROW("/admin/integrations", integrations)                                                       \
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
