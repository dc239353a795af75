/* SPDX-License-Identifier: MIT
 *
 * The replica: documents in LMDB that follow those in the database. Whoever has a connection may
 * apply what is missing, the follower as well as a worker after its own change. Each time the
 * replica goes from one moment of the database to a later one as a whole, so its mark says exactly
 * what it holds; and the tag that comes with each revision shows that both still have the same
 * history.
 *
 * What the database sends is received whole before LMDB's write lock is taken: nobody waits for a
 * network with the lock held. */
#ifndef STORE_PG_REPLICA_H
#define STORE_PG_REPLICA_H

#include "store/lmdb/documents.h"
#include "store/pg/connection.h"

enum replica_status {
    REPLICA_CURRENT,   /* it has all that the database had when it was asked */
    REPLICA_BEHIND,    /* (of pg_replica_apply) others come first */
    REPLICA_DIVERGED,  /* it is not of this history, or too old: it must be copied anew */
    REPLICA_UNWRITTEN, /* LMDB has no room, or there is no memory; it has been logged */
    REPLICA_BROKEN,    /* LMDB failed, and has logged it: only a new process can help */
    REPLICA_REFUSED,   /* the database refused; the connection stands */
    REPLICA_LOST       /* the connection is lost */
};

/* A change of one document, as the database made it. */
struct replica_change {
    uint64_t revision;
    uint64_t tag;
    uint64_t previous_tag; /* of the revision before (of pg_replica_apply) */
    struct str id;
    struct store_record record; /* its document's data is NULL: removed */
};

/* Asks the database for what the replica lacks, and applies it. Each row must come within `row_ms`.
 */
enum replica_status pg_replica_catch_up(struct pg *pg, struct documents_reader *reader,
                                        uint64_t row_ms);

/* Applies one change that was just made, if it is the replica's next. */
enum replica_status pg_replica_apply(struct documents_reader *reader,
                                     const struct replica_change *change);

/* Copies the whole database, as it is at one moment; until that is done the replica stays as it is.
 */
enum replica_status pg_replica_copy(struct pg *pg, struct documents_reader *reader,
                                    uint64_t row_ms);

#endif
