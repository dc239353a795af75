/* SPDX-License-Identifier: MIT
 *
 * Claiming slots, and counting in them: without a lock, an allocation or a system call. */
#include <stdatomic.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/lock.h"
#include "core/metrics.h"
#include "core/metrics/area.h"
#include "core/metrics/layout.h"

static size_t take_slot(struct metrics *metrics)
{
    for (size_t i = 1; i < AREA_SLOTS; i++)
        if (!metrics->taken[i] && lock_try(metrics->fd, i)) {
            metrics->taken[i] = true;
            return i;
        }
    return 0;
}

static void raise_used(struct metrics *metrics, uint64_t wanted)
{
    uint64_t used = atomic_load(&metrics->header->used);
    bool raised = used >= wanted;
    while (!raised) {
        raised = atomic_compare_exchange_weak(&metrics->header->used, &used, wanted);
        raised |= used >= wanted;
    }
}

void metrics_claim(struct metrics *metrics, struct metrics_slot *slot, bool serves)
{
    size_t index = take_slot(metrics);
    *slot = (struct metrics_slot){area_slot(metrics, index), metrics, 0, index == 0};
    raise_used(metrics, index + 1);
    if (slot->shared)
        return;
    slot->cpu_before_us = area_get(&slot->values[LAYOUT_CPU_US]);
    area_set(&slot->values[LAYOUT_IN_FLIGHT], 0);
    area_set(&slot->values[LAYOUT_PID], metrics->has_leader ? 0 : (uint64_t)getpid());
    area_set(&slot->values[LAYOUT_SERVES], serves);
    metrics->has_leader = true;
}

/* Adds to a value of the slot: a plain load and store where this thread is the only writer. */
static void add(struct metrics_slot *slot, size_t index, uint64_t number)
{
    if (slot->shared)
        atomic_fetch_add_explicit(&slot->values[index], number, memory_order_relaxed);
    else
        area_set(&slot->values[index], area_get(&slot->values[index]) + number);
}

void metrics_begin(struct metrics_slot *slot)
{
    add(slot, LAYOUT_IN_FLIGHT, 1);
}

void metrics_cancel(struct metrics_slot *slot)
{
    add(slot, LAYOUT_IN_FLIGHT, (uint64_t)-1);
}

/* Counts a duration in the histogram whose values begin at `index`. */
static void observe(struct metrics_slot *slot, size_t index, uint64_t duration_ns)
{
    size_t bucket = 0;
    while (bucket < LAYOUT_BOUNDS && duration_ns > layout_bounds[bucket].ns)
        bucket++;
    add(slot, index + bucket, 1);
    add(slot, index + LAYOUT_BUCKETS, duration_ns);
}

void metrics_end(struct metrics_slot *slot, const struct metrics_request *request)
{
    const struct metrics_labels *labels = slot->metrics->labels;
    add(slot, layout_request(labels, request->endpoint, request->method, request->status), 1);
    observe(slot, layout_latency(labels, request->endpoint), request->duration_ns);
    add(slot, LAYOUT_BYTES_IN, request->bytes_in);
    add(slot, LAYOUT_BYTES_OUT, request->bytes_out);
    metrics_cancel(slot);
}

void metrics_count_operation(struct metrics_slot *slot, const struct metrics_operation *operation)
{
    const struct metrics_labels *labels = slot->metrics->labels;
    add(slot, layout_operation(labels, operation->operation, operation->outcome), 1);
    observe(slot, layout_operation_latency(labels, operation->operation), operation->duration_ns);
}

void metrics_count_cpu(struct metrics_slot *slot)
{
    if (!slot->shared)
        area_set(&slot->values[LAYOUT_CPU_US], slot->cpu_before_us + clock_cpu_us());
}

void metrics_count_ending(struct metrics *metrics, enum metrics_ending ending)
{
    atomic_fetch_add(&metrics->header->endings[ending], 1);
}

struct log_counts *metrics_log_counts(struct metrics *metrics)
{
    return &metrics->header->log;
}
