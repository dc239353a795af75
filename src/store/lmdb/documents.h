/* SPDX-License-Identifier: MIT
 *
 * Documents in an LMDB environment. Reads need no locks and no system calls. A commit is durable,
 * except in a replica (see struct environment_options). Values are valid only within their
 * transaction (lmdb.h), so they are copied. */
#ifndef STORE_LMDB_DOCUMENTS_H
#define STORE_LMDB_DOCUMENTS_H

#include "store/lmdb/environment.h"
#include "store/lmdb/holdings.h"
#include "store/sealing.h"

/* One thread's handle for reading. */
struct documents_reader {
    struct environment *environment;
    MDB_txn *txn; /* renewed for each read */
};

/* Changes in progress, in LMDB's only write transaction. */
struct documents_change {
    struct environment *environment;
    MDB_txn *txn;
    const struct environment_set *set; /* what is changed */
    struct environment_meta meta;
    struct store_version before; /* of the store; the tag is 0 in a replica never filled */
    struct holdings added;       /* to what keys hold */
    uint64_t deadline_ns;
};

/* Returns false if memory or a reader slot is lacking. */
MUST_CHECK bool documents_reader_open(struct environment *environment,
                                      struct documents_reader *reader);
void documents_reader_close(struct documents_reader *reader);

/* The form of the databases, for the files of this header: in front of each stored document there
 * is a head. */
struct documents_head {
    uint64_t revision; /* of its last change */
    uint64_t created_us;
    uint64_t updated_us;
};

static inline MDB_val documents_key(struct str id)
{
    return environment_value(id.data, id.len);
}

/* Reads what is stored under a sequence number. Returns an error code as documents_look does. */
MUST_CHECK int documents_read(const struct environment *environment, MDB_txn *txn,
                              const struct environment_set *set, MDB_val key, MDB_val value,
                              struct store_record *record);

/* Finds a document within the caller's transaction. Returns an error code that documents_status
 * turns into a status, as environment_status does. */
MUST_CHECK int documents_look(const struct environment *environment, MDB_txn *txn,
                              const struct environment_set *set, struct str id,
                              struct store_record *record);
enum store_status documents_status(const struct environment *environment, int code,
                                   const char *doing);

/* As in struct store_backend, for one reader. Of a replica, documents_get also sets the revision of
 * read->version. */
enum store_status documents_get(struct documents_reader *reader, struct store_read *read,
                                struct str id, struct store_record *record, struct buffer *out);
enum store_status documents_each(struct documents_reader *reader, struct store_read *read,
                                 store_visit *visit, void *context);
enum store_status documents_stats(struct documents_reader *reader, struct store_stats *stats);

/* Reads the version of the store. STORE_NOT_FOUND: nothing has been copied from a database yet. */
enum store_status documents_get_version(struct documents_reader *reader,
                                        struct store_version *version);

/* Reads the key that masks are made with. STORE_NOT_FOUND: a replica has not got it yet. */
enum store_status documents_get_masks(struct documents_reader *reader,
                                      uint8_t key[STORE_MASK_KEY_LEN]);

/* Waits for the turn to write, until `deadline_ns` (steady clock): nobody else changes anything
 * until the change ends. Returns STORE_AWAY, logged, if the turn did not come in time. */
enum store_status documents_begin(struct environment *environment, uint64_t deadline_ns,
                                  struct documents_change *change);
/* Prepares it for sealing documents; call it first in a change that does. */
enum store_status documents_begin_sealing(struct documents_change *change, struct sealing *sealing);
/* Commits the change if `status` is STORE_OK, otherwise rolls it back. Returns `status`, or the
 * error if the commit fails, or STORE_AWAY if the deadline is over. */
enum store_status documents_end(struct documents_change *change, enum store_status status);

void documents_cancel(struct documents_change *change);

/* Sets the key that masks are made with. */
enum store_status documents_set_masks(struct documents_change *change,
                                      const uint8_t key[STORE_MASK_KEY_LEN]);

/* Looks up an id and its record. record->document is valid until the next modification. */
enum store_status documents_find(struct documents_change *change, struct str id,
                                 struct store_record *record);
/* Stores a record under `id`: a new one, or a new version with the same sequence number. */
enum store_status documents_put(struct documents_change *change, struct str id,
                                const struct store_record *record);
enum store_status documents_remove(struct documents_change *change, struct str id,
                                   uint64_t sequence);
/* Finds the first record after a sequence number: STORE_OK, STORE_NOT_FOUND; STORE_DAMAGED: only
 * its sequence number is set. */
enum store_status documents_next(struct documents_change *change, uint64_t after,
                                 struct store_record *record);
/* Stores a record again, under the sequence number and the id that it has. */
enum store_status documents_rewrite(struct documents_change *change,
                                    const struct store_record *record);
/* Changes that set of a replica which is not its content, instead: so a copy is written in many
 * changes, each of them small, and seen by nobody. */
void documents_turn_over(struct documents_change *change);
/* Removes all documents of the set. */
enum store_status documents_clear(struct documents_change *change);
/* Sets the version that the store has after the change. The set that is changed is then its
 * content. */
enum store_status documents_set_version(struct documents_change *change,
                                        const struct store_version *version);

#endif
