/* SPDX-License-Identifier: MIT
 *
 * A checksum of each document (XXH3, 64 bits), so that what a disk or a memory module has changed
 * is never handed out. It lies in a database of its own, which programs that do not know it leave
 * as it is; a document that they wrote has none of its revision, and is taken as it is. */
#ifndef STORE_LMDB_SUMS_H
#define STORE_LMDB_SUMS_H

#include "store/lmdb/environment.h"

/* Both return LMDB error codes. `stored` is what stands in the database "documents". */
MUST_CHECK int sums_put(MDB_txn *txn, MDB_dbi sums, uint64_t sequence, MDB_val stored);
MUST_CHECK int sums_remove(MDB_txn *txn, MDB_dbi sums, uint64_t sequence);

/* Gives every document of a store that is no replica a checksum, after a program that does not know
 * them has changed it. */
MUST_CHECK int sums_rebuild(const struct environment *environment, MDB_txn *txn);

/* Whether a document stored in the set is what was written. Its revision must be its first 8 bytes.
 */
MUST_CHECK bool sums_agree(const struct environment *environment, MDB_txn *txn,
                           const struct environment_set *set, uint64_t sequence, MDB_val stored);

#endif
