/* SPDX-License-Identifier: MIT
 *
 * Claiming slots, and counting in them without locks, allocations or system calls. */
#include <stdatomic.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/lock.h"
#include "core/metrics.h"
#include "core/metrics/area.h"
#include "core/metrics/layout.h"

static void raise_to(_Atomic uint64_t *mark, uint64_t wanted)
{
    uint64_t now = atomic_load(mark);
    while (now < wanted && !atomic_compare_exchange_weak(mark, &now, wanted))
        ;
}

/* Takes a free entry of the process table, if there is one. */
static void claim_process(struct metrics *metrics, bool serves)
{
    size_t i = 0;
    while (i < AREA_PROCESSES && !lock_try(metrics->fd, AREA_LOCK_PROCESSES + i))
        i++;
    metrics->claimed = true;
    if (i == AREA_PROCESSES)
        return;
    struct area_process *process = &metrics->area->processes[i];
    metrics->process = process;
    metrics->ticket = area_next_ticket(metrics, i);
    atomic_store(&process->ticket, metrics->ticket); /* before, the last one seemed to be alive */
    metrics->searched = 1;
    metrics->cpu_before_us = area_get(&process->cpu_us);
    area_set(&process->pid, (uint64_t)getpid());
    area_set(&process->serves, serves);
    raise_to(&metrics->area->header.processes_used, i + 1);
}

/* Takes a slot whose owner is gone. Returns 0 if there is none. */
static size_t take_slot(struct metrics *metrics)
{
    struct area *area = metrics->area;
    uint64_t living = metrics->ticket; /* remembered, for a process's slots are adjacent */
    size_t used = atomic_load(&area->header.slots_used);
    while (metrics->searched < used) {
        size_t slot = metrics->searched++;
        uint64_t owner = atomic_load(&area->owners[slot]);
        if (owner == living)
            continue;
        if (area_lives(metrics, owner))
            living = owner;
        else if (atomic_compare_exchange_strong(&area->owners[slot], &owner, metrics->ticket))
            return slot;
    }
    return 0;
}

/* Extends the area by a slot, and takes that. Returns 0 if the area has its full size or the disk
 * is full. */
static size_t add_slot(struct metrics *metrics)
{
    struct area *area = metrics->area;
    if (atomic_load(&area->header.slots_used) == AREA_SLOTS || !lock_wait(metrics->fd, AREA_LOCK))
        return 0;
    size_t slot = atomic_load(&area->header.slots_used);
    bool grown = slot < AREA_SLOTS && area_grow(metrics, slot + 1);
    if (grown) {
        atomic_store(&area->owners[slot], metrics->ticket);
        atomic_store(&area->header.slots_used, slot + 1);
    }
    lock_release(metrics->fd, AREA_LOCK);
    return grown ? slot : 0;
}

/* Returns a slot that only this thread uses, or else the shared one. */
static size_t claim_slot(struct metrics *metrics)
{
    if (metrics->process == NULL)
        return 0;
    size_t slot = take_slot(metrics);
    return slot != 0 ? slot : add_slot(metrics);
}

void metrics_claim(struct metrics *metrics, struct metrics_slot *slot, bool serves)
{
    if (!metrics->claimed)
        claim_process(metrics, serves);
    size_t index = claim_slot(metrics);
    *slot = (struct metrics_slot){area_slot(metrics, index), metrics, index == 0};
    if (!slot->shared)
        area_set(&slot->values[LAYOUT_IN_FLIGHT], 0);
}

/* Adds to a value of the slot; a plain load and store suffice if this thread is the only writer. */
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

void metrics_count_cpu(const struct metrics_slot *slot)
{
    const struct metrics *metrics = slot->metrics;
    if (metrics->process != NULL)
        area_set(&metrics->process->cpu_us, metrics->cpu_before_us + clock_cpu_us());
}

void metrics_skip_cpu(const struct metrics_slot *slot)
{
    slot->metrics->cpu_before_us -= clock_cpu_us();
}

void metrics_count_ending(struct metrics *metrics, enum metrics_ending ending)
{
    atomic_fetch_add(&metrics->area->header.endings[ending], 1);
}

struct log_counts *metrics_log_counts(struct metrics *metrics)
{
    return &metrics->area->header.log;
}
