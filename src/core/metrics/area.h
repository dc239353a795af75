/* SPDX-License-Identifier: MIT
 *
 * The file that the processes share and map: a header of one page, an entry for each process, the
 * owners of the slots, the slots. It ends behind the last slot that was ever claimed, and has its
 * place on disk up to there; mapped is room for all slots. Only those below header.slots_used may
 * be touched: beyond the end of the file lies a SIGBUS.
 *
 * Its locks (fcntl(2), F_OFD_SETLK): byte 0 is held for a moment by who makes it an area or lets it
 * grow, byte AREA_LOCK_PROCESSES + N by the process that has entry N, for as long as it lives. A
 * slot has no lock: its owner is named by a ticket, and it is free when whoever had that ticket is
 * gone. It is taken by compare-and-swap of its owner. */
#ifndef CORE_METRICS_AREA_H
#define CORE_METRICS_AREA_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/log.h"
#include "core/metrics.h"

enum {
    AREA_PROCESSES = 4096,
    AREA_SLOTS = 4096, /* slot 0 is shared by those who find no other */
    AREA_PAGE = 4096,
    AREA_CACHE_LINE = 64,
    AREA_LOCK = 0,
    AREA_LOCK_PROCESSES = 1
};

struct area_header {
    char magic[8];
    uint64_t shape;                  /* of the slots: layout_shape */
    _Atomic uint64_t processes_used; /* entries that were ever claimed are below this one */
    _Atomic uint64_t slots_used;     /* likewise; raised under AREA_LOCK */
    struct log_counts log;
    _Atomic uint64_t endings[METRICS_ENDINGS];
};

/* What a process says of itself; its next owner goes on from the CPU time found. */
struct area_process {
    alignas(AREA_CACHE_LINE) _Atomic uint64_t ticket; /* of who has it, or had it last */
    _Atomic uint64_t pid;
    _Atomic uint64_t serves;
    _Atomic uint64_t cpu_us; /* of all that ever had it */
};

struct area {
    struct area_header header;
    alignas(AREA_PAGE) struct area_process processes[AREA_PROCESSES];
    _Atomic uint64_t owners[AREA_SLOTS]; /* tickets; 0: of nobody yet */
    alignas(AREA_CACHE_LINE) _Atomic uint64_t slots[];
};

struct metrics {
    const struct metrics_labels *labels;
    int fd;
    size_t slot_len; /* in values */
    struct area *area;
    bool claimed;                 /* by now this process has an entry, or found none */
    struct area_process *process; /* NULL: none */
    uint64_t ticket;              /* 0: none */
    uint64_t cpu_before_us;       /* CPU time in the entry that is not this process's */
    size_t searched;              /* slots below this one were not free when looked at */
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
    return metrics->area->slots + slot * metrics->slot_len;
}

/* A ticket names one claim of an entry, for ever: the entry's number, and how often it was claimed
 * by then. */
static inline uint64_t area_next_ticket(const struct metrics *metrics, size_t process)
{
    uint64_t last = area_get(&metrics->area->processes[process].ticket);
    return (last / AREA_PROCESSES + 1) * AREA_PROCESSES + process;
}

static inline size_t area_process_of(uint64_t ticket)
{
    return ticket % AREA_PROCESSES;
}

/* With AREA_LOCK held: gives the file its place on disk up to that many slots. False, with errno:
 * it cannot have it. */
bool area_grow(const struct metrics *metrics, size_t slots);

/* Whether somebody has the entry: one system call, or none for one's own. */
bool area_is_held(const struct metrics *metrics, size_t process);

/* Whether the process that was given the ticket lives. Likewise. */
bool area_lives(const struct metrics *metrics, uint64_t ticket);

#endif
