/* SPDX-License-Identifier: MIT
 *
 * What store_pg and its follower have in common: the database, the replica, and the area that the
 * processes share. */
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
};

/* False with a sentence in `error`, and nothing to close. */
MUST_CHECK bool pg_store_open(struct pg_store *store, const struct store_options *options,
                              char *error, size_t error_size);
void pg_store_close(struct pg_store *store);

/* How long ago the replica was known to lack nothing, in ms; UINT64_MAX: never. */
uint64_t pg_store_age_ms(const struct pg_store *store);

/* store_pg's follow (struct store_backend). */
bool pg_follow(const struct store_options *options, const struct store_follow *follow, char *error,
               size_t error_size);

#endif
