/* SPDX-License-Identifier: MIT
 *
 * What all processes of a state directory share about the database, in one file that they map: how
 * fresh the replica is, what the follower knows, counters, and a place for each connection. A place
 * is held by a lock that dies with its process, so the service never has more connections than it
 * may, whatever is killed. */
#ifndef STORE_PG_AREA_H
#define STORE_PG_AREA_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"
#include "base/event.h"

enum { PG_CONNECTIONS_MAX = 1024 };

enum pg_presence { PG_UNKNOWN, PG_UP, PG_AWAY };

/* What a place's holder is doing. */
enum pg_use { PG_FREE, PG_IDLE, PG_BUSY };

/* The file's content; a new one is zeroed. Members keep their places: at an upgrade processes of
 * two versions map it. */
struct pg_shared {
    _Atomic uint64_t format;
    _Atomic uint64_t complete_us; /* wall clock: when the replica was last known to lack nothing */
    _Atomic uint64_t presence;    /* enum pg_presence, by the follower */
    _Atomic uint64_t commits;     /* batches of changes committed */
    _Atomic uint64_t failures;    /* changes and reads that the database did not take */
    _Atomic uint64_t connects;    /* connections opened */
    _Atomic uint64_t copies;      /* whole copies made of the database */
    _Atomic uint64_t wanted_ns;   /* steady clock: when a process last lacked its fair part of the
                                     connections */
    _Atomic uint8_t uses[PG_CONNECTIONS_MAX];
    struct event progress; /* the replica came further, or complete_us or presence changed */
};

struct pg_area {
    int fd;
    struct pg_shared *shared;
    size_t places; /* how many connections there may be */
    atomic_bool
        taken[PG_CONNECTIONS_MAX]; /* by this process: a lock does not keep its own holder out */
};

/* Opens or creates the file `path`. False with a sentence in `error`. */
MUST_CHECK bool pg_area_open(struct pg_area *area, const char *path, size_t places, char *error,
                             size_t error_size);
void pg_area_close(struct pg_area *area);

/* Takes a free place, or -1: the first one, which is the follower's; or any other. */
int pg_area_take_first(struct pg_area *area);
int pg_area_take(struct pg_area *area);
void pg_area_use(struct pg_area *area, int place, enum pg_use use);
void pg_area_give(struct pg_area *area, int place);

/* Says that a process lacks its fair part; whether one has said so just now. */
void pg_area_want(struct pg_area *area);
bool pg_area_is_wanted(const struct pg_area *area);

/* How many places are so used, by processes that live. */
size_t pg_area_count(struct pg_area *area, enum pg_use use);

#endif
