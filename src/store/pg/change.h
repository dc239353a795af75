/* SPDX-License-Identifier: MIT
 *
 * Changes in the database, all made by integration_change() (sql/007_sealing.sql). */
#ifndef STORE_PG_CHANGE_H
#define STORE_PG_CHANGE_H

#include "base/arena.h"
#include "store/pg/replica.h"

struct pg_outcome {
    enum pg_status asked;
    enum store_status status; /* valid if asked is PG_OK; STORE_AWAY: there was no time to ask */
    /* Valid if status is STORE_OK: the last change. Its revision is 0 if nothing was to be changed;
     * its id.data is NULL if there were other changes besides it. */
    struct replica_change made;
    struct arena arena; /* which it may refer to */
};

/* Returns a random number that identifies the last change of a batch. */
uint64_t pg_change_tag(void);

/* Makes all changes of the batch in one transaction, or none. Gives up before the batch's deadline,
 * so that there is time for pg_change_settle, and the server still earlier. Release the outcome in
 * any case. */
void pg_change_make(struct pg *pg, struct store_batch *batch, uint64_t tag,
                    struct pg_outcome *outcome);
void pg_change_release(struct pg_outcome *outcome);

/* Settles, on another connection, what becomes of a batch whose connection was lost: STORE_OK, it
 * was committed; STORE_AWAY, it was not, and never will be, even if it is still on its way to the
 * server; STORE_UNKNOWN, that could not be found out. Waits for the holder of the store's lock,
 * because it may be the transaction of the lost connection. */
enum store_status pg_change_settle(struct pg *pg, uint64_t tag, const struct store_batch *batch,
                                   struct pg_outcome *outcome);

#endif
