/* SPDX-License-Identifier: MIT
 *
 * An LMDB environment, mapped by every process of the host: its files, its format, and whose turn
 * it is to write. LMDB asks of its users (lmdb.h): open it after the last fork, and once a process.
 *
 *   meta       "store" -> struct environment_meta
 *              "replica" -> the tag of the revision; only in a replica of a database
 *   ids        id -> sequence number
 *   documents  sequence number -> a header and the document, so a list is one scan */
#ifndef STORE_LMDB_ENVIRONMENT_H
#define STORE_LMDB_ENVIRONMENT_H

#include <lmdb.h>

#include "store/lmdb/turn.h"
#include "store/store.h"

struct environment {
    MDB_env *env;
    struct turn turn; /* whose it is to write */
    MDB_dbi meta;
    MDB_dbi ids;
    MDB_dbi documents;
};

struct environment_meta {
    uint64_t format;
    uint64_t revision;
    uint64_t sequence; /* the last one given */
};

struct environment_options {
    uint64_t max_bytes;
    bool replica; /* the last commit may be lost with the power (nothing else): it comes again */
};

/* Opens the environment in the directory `path`, and creates it when missing. False with a sentence
 * in `error`, and nothing to close. */
MUST_CHECK bool environment_open(struct environment *environment, const char *path,
                                 const struct environment_options *options, char *error,
                                 size_t error_size);
void environment_close(struct environment *environment);

/* Both return LMDB's codes; MDB_INVALID: it is not ours. */
MUST_CHECK int environment_read_meta(struct environment *environment, MDB_txn *txn,
                                     struct environment_meta *meta);
MUST_CHECK int environment_write_meta(struct environment *environment, MDB_txn *txn,
                                      struct environment_meta *meta);

/* What one of LMDB's codes means to a caller; a failure is logged, with what was being done. */
enum store_status environment_status(const struct environment *environment, int code,
                                     const char *doing);

/* A key or a value that points to `data`. */
static inline MDB_val environment_value(const void *data, size_t size)
{
    return (MDB_val){.mv_size = size, .mv_data = (void *)data};
}

#endif
