/* SPDX-License-Identifier: MIT */
#include "core/metrics/layout.h"

#include <string.h>

enum { CACHE_LINE = 8 }; /* in values */

/* The buckets required by the API, plus finer ones below 5 ms. */
const struct layout_bound layout_bounds[LAYOUT_BOUNDS] = {
    {100000, "0.0001"},  {250000, "0.00025"}, {500000, "0.0005"},    {1000000, "0.001"},
    {2500000, "0.0025"}, {5000000, "0.005"},  {10000000, "0.01"},    {25000000, "0.025"},
    {50000000, "0.05"},  {75000000, "0.075"}, {100000000, "0.1"},    {250000000, "0.25"},
    {500000000, "0.5"},  {750000000, "0.75"}, {1000000000, "1.0"},   {2500000000, "2.5"},
    {5000000000, "5.0"}, {7500000000, "7.5"}, {10000000000, "10.0"},
};

size_t layout_len(const struct metrics_labels *labels)
{
    size_t values = layout_operation_latency(labels, labels->operations_len);
    return (values + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
}

static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ at[i]) * 0x100000001B3U; /* FNV-1a */
    return hash;
}

static uint64_t hash_names(uint64_t hash, const char *const *names, size_t len)
{
    for (size_t i = 0; i < len; i++)
        hash = hash_bytes(hash, names[i], strlen(names[i]) + 1);
    return hash_bytes(hash, &len, sizeof len);
}

uint64_t layout_shape(const struct metrics_labels *labels)
{
    uint64_t hash = 0xCBF29CE484222325U;
    hash = hash_names(hash, labels->endpoints, labels->endpoints_len);
    hash = hash_names(hash, labels->methods, labels->methods_len);
    hash = hash_bytes(hash, labels->statuses, labels->statuses_len * sizeof labels->statuses[0]);
    hash = hash_names(hash, labels->operations, labels->operations_len);
    hash = hash_names(hash, labels->outcomes, labels->outcomes_len);
    for (size_t i = 0; i < LAYOUT_BOUNDS; i++)
        hash = hash_bytes(hash, &layout_bounds[i].ns, sizeof layout_bounds[i].ns);
    return hash_bytes(hash, (uint64_t[]){LAYOUT_VALUES}, sizeof(uint64_t));
}
