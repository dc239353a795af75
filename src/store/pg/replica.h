/* SPDX-License-Identifier: MIT
 *
 * The replica: documents in LMDB that follow those in the database. Any process with a connection
 * may apply missing changes: the follower, and a worker after making a change. The replica always
 * moves atomically from one state of the database to a later one, so its mark says exactly what it
 * contains. The tag of each revision shows whether replica and database still share the same
 * history.
 *
 * LMDB's write lock is never held while waiting for the network: what is written has been received
 * before, the changes that are missing as a whole, a copy piece by piece, out of sight. */
#ifndef STORE_PG_REPLICA_H
#define STORE_PG_REPLICA_H

#include "store/lmdb/documents.h"
#include "store/pg/connection.h"

enum replica_status {
    REPLICA_CURRENT,   /* contains everything that the database had when asked */
    REPLICA_BEHIND,    /* (pg_replica_apply) earlier changes are missing */
    REPLICA_DIVERGED,  /* has another history, is too old, or lacks too much to fetch it at once:
                          must be copied again */
    REPLICA_FULL,      /* LMDB is full; this has been logged */
    REPLICA_UNWRITTEN, /* the turn to write did not come, or memory is lacking; this has been
                          logged */
    REPLICA_BROKEN,    /* LMDB failed, and has logged it: only restarting the process can help */
    REPLICA_REFUSED,   /* the database returned an error; the connection is usable */
    REPLICA_LOST       /* the connection is lost */
};

/* Reads the database's key for masks. */
enum pg_status pg_replica_ask_masks(struct pg *pg, uint64_t deadline_ns,
                                    uint8_t key[STORE_MASK_KEY_LEN]);

/* The same, of its text in hexadecimal digits. */
MUST_CHECK bool pg_replica_read_masks(struct str text, uint8_t key[STORE_MASK_KEY_LEN]);

/* Gives the replica the database's key for masks, if it has another. */
enum replica_status pg_replica_take_masks(struct pg *pg, struct documents_reader *reader,
                                          uint64_t deadline_ns);

/* A change of one document, as made in the database. */
struct replica_change {
    uint64_t revision;
    uint64_t tag;
    uint64_t previous_tag; /* tag of the revision before (for pg_replica_apply) */
    struct str id;
    struct store_record record; /* its document.data is NULL if the document was removed */
};

/* Queries the database for missing changes, and applies them. Each row, and the turn to write, must
 * come within `row_ms`, and all before `deadline_ns` (steady clock). */
enum replica_status pg_replica_catch_up(struct pg *pg, struct documents_reader *reader,
                                        uint64_t row_ms, uint64_t deadline_ns);

/* Applies a change that has just been made, if it is the next one for the replica, and the turn to
 * write comes until `deadline_ns` (steady clock). */
enum replica_status pg_replica_apply(struct documents_reader *reader,
                                     const struct replica_change *change, uint64_t deadline_ns);

/* Copies the whole database as of a single point in time, a few MiB at a time. The replica's
 * content stays what it is until the copy is complete, and for good if workers have meanwhile
 * brought it as far. Only one process of a host may copy at a time. */
enum replica_status pg_replica_copy(struct pg *pg, struct documents_reader *reader,
                                    uint64_t row_ms);

#endif
