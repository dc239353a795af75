/* SPDX-License-Identifier: MIT
 *
 * An LMDB environment, mapped by every process of the host: its files, its format, and the turn to
 * write. LMDB requires (lmdb.h) that it is opened after the last fork, and once per process.
 *
 *   meta       "store" -> struct environment_meta
 *              "version" -> struct store_version: that revision and its tag, the time of the change
 *              in microseconds; of another revision if a program that does not know it made the
 *              last change. Not in a replica:
 *              "replica" -> the tag of the revision in the database
 *              In both:
 *              "masks" -> the random key that masks are made with (store/store.h)
 *              "sealed" -> how many sealed documents need each key (store/lmdb/holdings.h)
 *   ids        id -> sequence number
 *   documents  sequence number -> a header and the document, so a list is a single scan
 *   sums       sequence number -> a checksum of that (store/lmdb/sums.h)
 *   changes    revision -> the change that made it (store/lmdb/history.h)
 *   history    id -> the revisions of its changes of which documents are kept
 *
 * A replica has no log of changes, but a second set of documents, "ids2" and so on: a new copy of
 * the database is written to the one that is not read, in many commits, and then becomes the
 * content by one. */
#ifndef STORE_LMDB_ENVIRONMENT_H
#define STORE_LMDB_ENVIRONMENT_H

#include <lmdb.h>
#include <sys/stat.h>

#include "store/lmdb/turn.h"
#include "store/store.h"

enum { ENVIRONMENT_PATH_SIZE = 512 };

/* Documents. */
struct environment_set {
    MDB_dbi ids;
    MDB_dbi documents;
    MDB_dbi sums;
};

struct environment {
    MDB_env *env;
    bool damaged; /* could not be opened because of what its file holds or lacks */
    bool replica;
    char file[ENVIRONMENT_PATH_SIZE]; /* data.mdb */
    pthread_rwlock_t map;             /* held for reading during each transaction */
    struct turn turn;                 /* the right to write */
    struct stat lock;                 /* of lock.mdb, when it was opened */
    MDB_dbi meta;
    struct environment_set sets[2]; /* a replica has both */
    MDB_dbi changes;                /* a replica has neither of these */
    MDB_dbi history;
    struct store_keeping keeping;
};

struct environment_meta {
    uint64_t format;
    uint64_t revision;
    uint64_t sequence; /* the last one assigned; in a replica, which set is its content */
};

/* The documents of the store, by what "meta" says. */
static inline const struct environment_set *
environment_content(const struct environment *environment, const struct environment_meta *meta)
{
    return &environment->sets[environment->replica ? meta->sequence & 1 : 0];
}

struct environment_options {
    uint64_t max_bytes;
    struct store_keeping keeping; /* of changes, but for a replica */
    /* Power loss may undo the last commit, but nothing more; the follower fetches it again. */
    bool replica;
};

/* Opens the environment in the directory `path`, creating it if there has never been one: a file
 * beside the directory (`path` and ".made") says that there was. A replica that cannot be used is
 * made anew. On failure returns false with a message in `error`, and there is nothing to close. */
MUST_CHECK bool environment_open(struct environment *environment, const char *path,
                                 const struct environment_options *options, char *error,
                                 size_t error_size);
/* Renames the directory `path`, so that the next environment_open creates one. Writes to `message`
 * how, or returns false, and why not. */
MUST_CHECK bool environment_set_aside(const char *path, char *message, size_t message_size);
void environment_close(struct environment *environment);

/* Run LMDB's transactions; all return its error codes. If another process has made the environment
 * larger than our mapping of it, the mapping follows.
 *
 * environment_open_reader: for one thread, which then reads between environment_begin_read and
 * environment_end_read. */
MUST_CHECK int environment_open_reader(struct environment *environment, MDB_txn **reader);
MUST_CHECK int environment_begin_read(struct environment *environment, MDB_txn *reader);
void environment_end_read(struct environment *environment, MDB_txn *reader);
MUST_CHECK int environment_begin_write(struct environment *environment, MDB_txn **txn);
MUST_CHECK int environment_commit(struct environment *environment, MDB_txn *txn);
void environment_abort(struct environment *environment, MDB_txn *txn);

/* Whether the files that are open are those in the directory, and data.mdb as long as its content.
 * If not, logs what is wrong, once in a process: the environment must be closed. */
MUST_CHECK bool environment_is_whole(struct environment *environment, bool has_turn);

/* Makes the file as long as its content, after a commit; the caller has the turn. */
void environment_fill(const struct environment *environment);

/* Both return LMDB error codes; MDB_INVALID: the environment is not ours. */
MUST_CHECK int environment_read_meta(const struct environment *environment, MDB_txn *txn,
                                     struct environment_meta *meta);
MUST_CHECK int environment_write_meta(struct environment *environment, MDB_txn *txn,
                                      struct environment_meta *meta);

/* Finds the first record after a number, in a database whose keys are numbers. Returns an LMDB
 * error code. */
MUST_CHECK int environment_next(MDB_txn *txn, MDB_dbi database, uint64_t after, MDB_val *key,
                                MDB_val *value);

/* The tag of a version that another program has made, which did not say its tag. */
enum { ENVIRONMENT_TAG_UNKNOWN = 1 };

/* The version of the store, likewise. Reading it from a replica that has never been filled gives
 * MDB_NOTFOUND; `meta` is what was read or will be written. */
MUST_CHECK int environment_read_version(const struct environment *environment, MDB_txn *txn,
                                        const struct environment_meta *meta,
                                        struct store_version *version);
MUST_CHECK int environment_write_version(struct environment *environment, MDB_txn *txn,
                                         const struct store_version *version);

/* The key that masks are made with. environment_read_masks: MDB_NOTFOUND if there is none yet. */
MUST_CHECK int environment_read_masks(const struct environment *environment, MDB_txn *txn,
                                      uint8_t key[STORE_MASK_KEY_LEN]);
MUST_CHECK int environment_write_masks(const struct environment *environment, MDB_txn *txn,
                                       const uint8_t key[STORE_MASK_KEY_LEN]);

/* Converts an LMDB error code to a store status. Logs failures together with `doing`, what was
 * being done. A replica whose content is wrong is forgotten: when it is opened again, it is made
 * anew. */
enum store_status environment_status(const struct environment *environment, int code,
                                     const char *doing);

/* Wraps a pointer and a size as an LMDB key or value. */
static inline MDB_val environment_value(const void *data, size_t size)
{
    return (MDB_val){.mv_size = size, .mv_data = (void *)data};
}

#endif
