/* SPDX-License-Identifier: MIT
 *
 * What is reported about each request besides its answer: request id, trace context, counters and
 * log line. */
#ifndef APP_ACCOUNT_H
#define APP_ACCOUNT_H

#include <stdint.h>

#include "core/metrics.h"
#include "model/http.h"

/* One per session; describes the current request. */
struct account {
    struct str id;           /* the client's id, or a generated one */
    struct str key;          /* the name of the caller's key; empty: it has none */
    struct http_trace trace; /* the client's trace context; empty if there is none */
    uint64_t seed;           /* random seed for generated ids */
    uint64_t count;
    char id_text[33];
    char span_id[16]; /* our span in the client's trace; not NUL-terminated */
    char trace_text[55];
};

void account_open(struct account *account);

/* Adopts the client's request id and trace context, or generates an id. */
void account_begin(struct account *account, const struct http_request *request);

/* Adds the request id and the trace context to the response headers. */
void account_tell(struct account *account, struct http_response *response);

/* Counts and logs the request. `endpoint` is its index in the metrics labels. */
void account_end(const struct account *account, struct metrics_slot *slot,
                 const struct http_request *request, const struct http_response *response,
                 size_t endpoint);

#endif
