/* SPDX-License-Identifier: MIT
 *
 * Changes of a database whose documents are sealed. What is bound to a sealed document
 * (seal/seal.h) is known only when the store is locked, and only who has the keys can say which
 * members of the settings change: so the changes are made in two steps, of one transaction
 * (sql/007_sealing.sql). */
#ifndef STORE_PG_SEALING_H
#define STORE_PG_SEALING_H

#include "base/arena.h"
#include "store/pg/connection.h"
#include "store/store.h"

/* Changes as they are to be made; all of it is in an arena. */
struct pg_sealed {
    struct store_change *changes; /* with sealed documents */
    struct str *members;          /* of each, that change: a JSON array */
    uint64_t *sequences;          /* of each, the place that it is sealed for */
};

/* Locks the store for the rest of the transaction, and prepares the changes of a batch. If it
 * returns PG_OK and memory was lacking, `arena->failed` is set. */
enum pg_status pg_sealing_prepare(struct pg *pg, const struct store_batch *batch,
                                  uint64_t server_ms, uint64_t deadline_ns, struct arena *arena,
                                  struct pg_sealed *sealed);

#endif
