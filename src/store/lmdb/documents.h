/* SPDX-License-Identifier: MIT
 *
 * Documents in an LMDB environment. Reads take no lock and no system call; a change is on disk when
 * it is committed. A value is gone with its transaction (lmdb.h), so it is copied out. */
#ifndef STORE_LMDB_DOCUMENTS_H
#define STORE_LMDB_DOCUMENTS_H

#include "store/lmdb/environment.h"

/* What one thread reads with. */
struct documents_reader {
    struct environment *environment;
    MDB_txn *txn; /* renewed for each read */
};

/* Changes under way, in LMDB's one write transaction. */
struct documents_change {
    struct environment *environment;
    MDB_txn *txn;
    struct environment_meta meta;
};

/* Where a replica stands in the history of its database (sql/001_initial.sql). */
struct documents_mark {
    uint64_t revision;
    uint64_t tag;
};

/* False: there is no memory or place for a reader. */
MUST_CHECK bool documents_reader_open(struct environment *environment,
                                      struct documents_reader *reader);
void documents_reader_close(struct documents_reader *reader);

/* What struct store_backend promises, by one reader. `with_revision`: read->revision is wanted. */
enum store_status documents_get(struct documents_reader *reader, struct store_read *read,
                                bool with_revision, struct str id, struct store_record *record,
                                struct buffer *out);
enum store_status documents_each(struct documents_reader *reader, struct store_read *read,
                                 store_visit *visit, void *context);
enum store_status documents_stats(struct documents_reader *reader, struct store_stats *stats);

/* STORE_NOT_FOUND: nothing was ever copied from a database. */
enum store_status documents_get_mark(struct documents_reader *reader, struct documents_mark *mark);

/* Waits for the turn to write: nobody changes anything until the end. */
enum store_status documents_begin(struct environment *environment, struct documents_change *change);
/* Commits, or undoes what was done if `status` is not STORE_OK; returns what became of it. */
enum store_status documents_end(struct documents_change *change, enum store_status status);

void documents_cancel(struct documents_change *change);

/* Whether there is the id, and the record that it has; its document lives until the next change. */
enum store_status documents_find(struct documents_change *change, struct str id,
                                 struct store_record *record);
/* Keeps a record under `id`: a new one, or the next of the same sequence number. */
enum store_status documents_put(struct documents_change *change, struct str id,
                                const struct store_record *record);
enum store_status documents_remove(struct documents_change *change, struct str id,
                                   uint64_t sequence);
/* Removes all. */
enum store_status documents_clear(struct documents_change *change);
/* The mark as it is before the change, and as it shall be after it. */
enum store_status documents_find_mark(struct documents_change *change, struct documents_mark *mark);
enum store_status documents_set_mark(struct documents_change *change,
                                     const struct documents_mark *mark);

#endif
