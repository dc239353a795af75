/* SPDX-License-Identifier: MIT
 *
 * What is told of each request besides its answer: its id, its place in a trace, its counters and
 * its line in the log. */
#ifndef APP_ACCOUNT_H
#define APP_ACCOUNT_H

#include <stdint.h>

#include "core/metrics.h"
#include "model/http.h"

/* One session's; of its current request. */
struct account {
    struct str id;           /* the caller's, or one of our own */
    struct http_trace trace; /* the caller's; empty: none */
    uint64_t seed;           /* random, for the ids made here */
    uint64_t count;
    char id_text[33];
    char span_id[16]; /* ours, within the caller's trace; not ended by a NUL */
    char trace_text[55];
};

void account_open(struct account *account);

/* Takes the caller's id and trace up. */
void account_begin(struct account *account, const struct http_request *request);

/* Tells id and trace in the answer's headers. */
void account_tell(struct account *account, struct http_response *response);

/* Counts the request, and logs it. `endpoint` is its index in the metrics' labels. */
void account_end(const struct account *account, struct metrics_slot *slot,
                 const struct http_request *request, const struct http_response *response,
                 size_t endpoint);

#endif
