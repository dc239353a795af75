/* SPDX-License-Identifier: MIT
 *
 * State common to store_pg and its follower: the database, the replica, and the area shared between
 * processes. */
#ifndef STORE_PG_SHARED_H
#define STORE_PG_SHARED_H

#include "store/lmdb/documents.h"
#include "store/pg/area.h"
#include "store/pg/target.h"

struct pg_store {
    struct store_options options;
    struct pg_target target;
    struct pg_area area;
    struct environment replica;
    uint64_t boot; /* names the boot of this machine; 0: unknown */
};

/* On failure returns false with a message in `error`, and there is nothing to close. */
MUST_CHECK bool pg_store_open(struct pg_store *store, const struct store_options *options,
                              char *error, size_t error_size);
void pg_store_close(struct pg_store *store);

/* When the database was asked what the replica lacks: both clocks, for the wall clock may be set.
 */
struct pg_moment {
    uint64_t wall_us;
    uint64_t steady_ns;
};
struct pg_moment pg_moment_now(void);

/* Notes that the replica has everything that the database had at that moment. */
void pg_store_note_complete(struct pg_store *store, const struct pg_moment *asked);
/* Whether that has been noted of a moment after this one. */
bool pg_store_is_complete_since(const struct pg_store *store, const struct pg_moment *moment);
/* Time since the replica was last known to be complete, in ms; UINT64_MAX: never. */
uint64_t pg_store_age_ms(const struct pg_store *store);

/* Implements `follow` of struct store_backend for store_pg. */
bool pg_follow(const struct store_options *options, const struct store_follow *follow, char *error,
               size_t error_size);

#endif
