/* SPDX-License-Identifier: MIT
 *
 * The processes of the pool: what they say of themselves, and what the kernel knows of them. */
#ifndef CORE_METRICS_PROCESSES_H
#define CORE_METRICS_PROCESSES_H

#include <stdint.h>

#include "core/metrics.h"

struct processes {
    uint64_t workers;        /* that serve now */
    uint64_t resident_bytes; /* a page that several share counts in each */
    uint64_t descriptors;
    uint64_t cpu_us;    /* of past ones too */
    uint64_t in_flight; /* requests being worked on */
};

/* Looks at those that live, with a few system calls each. What cannot be read is left out. */
struct processes processes_look(const struct metrics *metrics);

#endif
