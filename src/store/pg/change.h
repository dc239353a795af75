/* SPDX-License-Identifier: MIT
 *
 * Changes in the database, each by integration_change() (sql/002_conditions.sql). */
#ifndef STORE_PG_CHANGE_H
#define STORE_PG_CHANGE_H

#include "store/pg/replica.h"

struct pg_outcome {
    enum pg_status asked;
    enum store_status status; /* if asked is PG_OK */
    /* If status is STORE_OK: the last change, its revision being 0 when nothing was to be changed;
     * its id's data is NULL when it was not the only one. */
    struct replica_change made;
};

/* A random number that a batch's last change is known by. */
uint64_t pg_change_tag(void);

/* Makes the batch's changes in one transaction, or none of them. */
void pg_change_make(struct pg *pg, struct store_batch *batch, uint64_t tag,
                    struct pg_outcome *outcome);

/* After a connection was lost, on another: whether the batch with this tag, made after revision
 * `since`, was committed all the same. Whoever holds the store's lock is waited for: it may be the
 * lost one's transaction. */
MUST_CHECK bool pg_change_find(struct pg *pg, uint64_t tag, uint64_t since,
                               struct store_batch *batch, struct pg_outcome *outcome);

#endif
