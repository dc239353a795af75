/* SPDX-License-Identifier: MIT
 *
 * Layout of a slot: the indexes of its values. */
#ifndef CORE_METRICS_LAYOUT_H
#define CORE_METRICS_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#include "core/metrics.h"

/* Upper bound of a latency bucket; the label is in seconds. */
struct layout_bound {
    uint64_t ns;
    const char *label;
};

enum {
    LAYOUT_BOUNDS = 19,
    LAYOUT_BUCKETS = LAYOUT_BOUNDS + 1 /* the last one is +Inf */
};

extern const struct layout_bound layout_bounds[LAYOUT_BOUNDS];

/* The first values; the request counters follow. */
enum layout_value { LAYOUT_IN_FLIGHT, LAYOUT_BYTES_IN, LAYOUT_BYTES_OUT, LAYOUT_VALUES };

static inline size_t layout_request(const struct metrics_labels *labels, size_t endpoint,
                                    size_t method, size_t status)
{
    return LAYOUT_VALUES + (endpoint * labels->methods_len + method) * labels->statuses_len +
           status;
}

/* The buckets of an endpoint, followed by its sum in nanoseconds. */
static inline size_t layout_latency(const struct metrics_labels *labels, size_t endpoint)
{
    return layout_request(labels, labels->endpoints_len, 0, 0) + endpoint * (LAYOUT_BUCKETS + 1);
}

static inline size_t layout_operation(const struct metrics_labels *labels, size_t operation,
                                      size_t outcome)
{
    return layout_latency(labels, labels->endpoints_len) + operation * labels->outcomes_len +
           outcome;
}

/* The buckets of an operation, followed by its sum in nanoseconds. */
static inline size_t layout_operation_latency(const struct metrics_labels *labels, size_t operation)
{
    return layout_operation(labels, labels->operations_len, 0) + operation * (LAYOUT_BUCKETS + 1);
}

/* Number of values in a slot: a multiple of the cache line size, so that no two threads write to
 * the same line. */
size_t layout_len(const struct metrics_labels *labels);

/* A hash of everything that determines the layout. */
uint64_t layout_shape(const struct metrics_labels *labels);

#endif
