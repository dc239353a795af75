/* SPDX-License-Identifier: MIT
 *
 * The processes of the pool: what they publish about themselves, and what the kernel knows about
 * them. */
#ifndef CORE_METRICS_PROCESSES_H
#define CORE_METRICS_PROCESSES_H

#include <stdint.h>

#include "core/metrics.h"

struct processes {
    uint64_t workers;        /* now serving */
    uint64_t resident_bytes; /* shared pages are counted once per process */
    uint64_t descriptors;
    uint64_t cpu_us;    /* including past processes */
    uint64_t in_flight; /* requests being handled */
};

/* Examines the living processes, with a few system calls each. What cannot be read is omitted. */
struct processes processes_look(const struct metrics *metrics);

#endif
