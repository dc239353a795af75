/* SPDX-License-Identifier: MIT
 *
 * The file that the processes share and map: its first page is the header, then come the slots.
 * Byte 0 of the file is locked by who makes it an area, byte N by who has slot N. */
#ifndef CORE_METRICS_AREA_H
#define CORE_METRICS_AREA_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/log.h"
#include "core/metrics.h"

enum {
    AREA_SLOTS = 256, /* slot 0 is shared by those who find no other */
    AREA_HEADER_SIZE = 4096
};

/* The first page of the file. */
struct area_header {
    char magic[8];
    uint64_t shape;        /* of the slots: layout_shape */
    _Atomic uint64_t used; /* slots that were ever claimed are below this one */
    struct log_counts log;
    _Atomic uint64_t endings[METRICS_ENDINGS];
};

struct metrics {
    const struct metrics_labels *labels;
    int fd;
    size_t size;
    size_t slot_values;
    struct area_header *header;
    _Atomic uint64_t *slots;
    bool taken[AREA_SLOTS]; /* by this process: an OFD lock does not stop its own holder */
    bool has_leader;
};

static inline uint64_t area_get(const _Atomic uint64_t *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

static inline void area_set(_Atomic uint64_t *value, uint64_t number)
{
    atomic_store_explicit(value, number, memory_order_relaxed);
}

/* The values of a slot. */
static inline _Atomic uint64_t *area_slot(const struct metrics *metrics, size_t slot)
{
    return metrics->slots + slot * metrics->slot_values;
}

/* Slots that may be in use are below this one. */
static inline size_t area_used(const struct metrics *metrics)
{
    size_t used = atomic_load(&metrics->header->used);
    return used < AREA_SLOTS ? used : AREA_SLOTS;
}

/* Whether somebody holds the slot's lock. */
bool area_is_held(const struct metrics *metrics, size_t slot);

#endif
