/* SPDX-License-Identifier: MIT
 *
 * State about the database that all processes of a state directory share in a mapped file: how
 * fresh the replica is, what the follower knows, counters, and a place for each connection. Each
 * place in use is protected by a lock that is released when its process dies, so the service never
 * exceeds its connection limit, whatever is killed.
 *
 * Limits: PG_CONNECTIONS_MAX connections. */
#ifndef STORE_PG_AREA_H
#define STORE_PG_AREA_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"
#include "base/event.h"

enum { PG_CONNECTIONS_MAX = 1024 };

enum pg_presence { PG_UNKNOWN, PG_UP, PG_AWAY };

/* State of a place. */
enum pg_use { PG_FREE, PG_IDLE, PG_BUSY };

/* Content of the file; all zeros in a new file. Do not move members: during an upgrade processes of
 * two versions map the file. */
struct pg_shared {
    _Atomic uint64_t format;
    _Atomic uint64_t complete_us; /* wall clock: when the replica was last known to be complete */
    _Atomic uint64_t presence;    /* enum pg_presence, set by the follower */
    _Atomic uint64_t commits;     /* number of batches committed */
    _Atomic uint64_t failures;    /* changes and reads that failed in the database */
    _Atomic uint64_t connects;    /* connections opened */
    _Atomic uint64_t copies;      /* full copies made of the database */
    /* Steady clock: when a process last lacked its fair share of the connections. */
    _Atomic uint64_t wanted_ns;
    _Atomic uint8_t uses[PG_CONNECTIONS_MAX];
    /* Signalled when the replica has advanced, or complete_us or presence has changed. */
    struct event progress; /* bits: those of the revision that the replica lacks next */
    /* complete_us by a clock that nobody sets, and since which boot that runs (0: unknown). */
    _Atomic uint64_t complete_ns;
    _Atomic uint64_t complete_ns_of; /* the complete_us that complete_ns belongs to */
    _Atomic uint64_t full;           /* whether the follower found the replica full */
    _Atomic uint64_t boot;
    _Atomic uint64_t starved; /* whether a process has no connection, and the server refused one */
};

struct pg_area {
    int fd;
    struct pg_shared *shared;
    size_t places; /* maximum number of connections */
    /* Taken by this process; needed because the file lock does not exclude its own holder. */
    atomic_bool taken[PG_CONNECTIONS_MAX];
    atomic_bool fetching;
};

/* Opens or creates the file `path`. Returns false with a message in `error` on failure. */
MUST_CHECK bool pg_area_open(struct pg_area *area, const char *path, size_t places, char *error,
                             size_t error_size);
void pg_area_close(struct pg_area *area);

/* Take a free place, or return -1 if there is none: the first place, reserved for the follower, or
 * any of the others. */
int pg_area_take_first(struct pg_area *area);
int pg_area_take(struct pg_area *area);
void pg_area_use(struct pg_area *area, int place, enum pg_use use);
void pg_area_give(struct pg_area *area, int place);

/* pg_area_begin_fetch: whether the caller may bring the replica up to date; others on this host
 * that would do the same can wait for it. pg_area_end_fetch: it has. */
MUST_CHECK bool pg_area_begin_fetch(struct pg_area *area);
void pg_area_end_fetch(struct pg_area *area);

/* pg_area_want: announces that this process lacks its fair share of connections.
 * pg_area_is_wanted: whether a process has announced that recently. */
void pg_area_want(struct pg_area *area);
bool pg_area_is_wanted(const struct pg_area *area);

/* pg_area_starve: announces that this process has no connection, and that the server refused one.
 * pg_area_feed: whether a process has announced that; the caller then gives one up for it. */
void pg_area_starve(struct pg_area *area);
MUST_CHECK bool pg_area_feed(struct pg_area *area);

/* Counts the places in this state that are held by living processes. */
size_t pg_area_count(struct pg_area *area, enum pg_use use);

#endif
