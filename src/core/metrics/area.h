/* SPDX-License-Identifier: MIT
 *
 * The file that the processes share and map: a one-page header, an entry for each process, the
 * last uses of keys, the owners of the slots, and the slots. The file ends after the last slot that
 * was ever claimed, and its disk space is allocated up to there; but address space is mapped for
 * all slots. Only slots below header.slots_used may be accessed: beyond the end of the file there
 * is SIGBUS.
 *
 * Locks (fcntl(2), F_OFD_SETLK): byte 0 is held briefly while the file is initialized or extended;
 * byte AREA_LOCK_PROCESSES + N is held by the process that owns entry N, as long as it lives. Slots
 * have no locks: a slot's owner is identified by a ticket, and the slot is free once the process
 * with that ticket is gone. A slot is claimed by compare-and-swap of its owner. */
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
    AREA_KEYS = 4096,
    AREA_SLOTS = 4096, /* slot 0 is shared by threads that find no other */
    AREA_PAGE = 4096,
    AREA_CACHE_LINE = 64,
    AREA_LOCK = 0,
    AREA_LOCK_PROCESSES = 1
};

/* The format of the file; changes with struct area. */
extern const char area_magic[8];

struct area_header {
    char magic[8];
    uint64_t shape;                  /* layout of the slots, see layout_shape */
    _Atomic uint64_t processes_used; /* all entries ever claimed are below this index */
    _Atomic uint64_t slots_used;     /* likewise for slots; increased under AREA_LOCK */
    struct log_counts log;
    _Atomic uint64_t endings[METRICS_ENDINGS];
};

/* What a process publishes about itself. The next owner of the entry continues from the CPU time it
 * finds. */
struct area_process {
    alignas(AREA_CACHE_LINE) _Atomic uint64_t ticket; /* of the current or the last owner */
    _Atomic uint64_t pid;
    _Atomic uint64_t serves;
    _Atomic uint64_t cpu_us; /* of all owners together */
};

/* When a key was used last. */
struct area_key {
    _Atomic uint64_t key; /* 0: the entry is free */
    _Atomic uint64_t minute;
};

struct area {
    struct area_header header;
    alignas(AREA_PAGE) struct area_process processes[AREA_PROCESSES];
    struct area_key keys[AREA_KEYS];
    _Atomic uint64_t owners[AREA_SLOTS]; /* tickets; 0: never owned */
    alignas(AREA_CACHE_LINE) _Atomic uint64_t slots[];
};

struct metrics {
    const struct metrics_labels *labels;
    int fd;
    size_t slot_len; /* number of values */
    uint64_t shape;  /* of the file */
    struct area *area;
    bool claimed;                 /* this process has an entry, or has found none */
    struct area_process *process; /* NULL: none */
    uint64_t ticket;              /* 0: none */
    uint64_t cpu_before_us;       /* CPU time in the entry before this process */
    size_t searched;              /* slots below this index have been found to be taken */
};

static inline uint64_t area_get(const _Atomic uint64_t *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

static inline void area_set(_Atomic uint64_t *value, uint64_t number)
{
    atomic_store_explicit(value, number, memory_order_relaxed);
}

/* Returns the values of a slot. */
static inline _Atomic uint64_t *area_slot(const struct metrics *metrics, size_t slot)
{
    return metrics->area->slots + slot * metrics->slot_len;
}

/* A ticket identifies one claim of an entry for all time: it combines the index of the entry with
 * the number of its claims so far. */
static inline uint64_t area_next_ticket(const struct metrics *metrics, size_t process)
{
    uint64_t last = area_get(&metrics->area->processes[process].ticket);
    return (last / AREA_PROCESSES + 1) * AREA_PROCESSES + process;
}

static inline size_t area_process_of(uint64_t ticket)
{
    return ticket % AREA_PROCESSES;
}

/* Extends the file on disk to this many slots; AREA_LOCK must be held. Returns false with errno set
 * if that fails. */
bool area_grow(const struct metrics *metrics, size_t slots);

/* Whether a living process owns the entry. Takes one system call, or none for the caller's own
 * entry. */
bool area_is_held(const struct metrics *metrics, size_t process);

/* Whether the process that got the ticket is alive. Costs the same. */
bool area_lives(const struct metrics *metrics, uint64_t ticket);

#endif
