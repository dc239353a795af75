/* SPDX-License-Identifier: MIT
 *
 * The databases of an environment, listed in environment.h, and what "meta" says (declared there).
 */
#ifndef STORE_LMDB_DATABASES_H
#define STORE_LMDB_DATABASES_H

#include "store/lmdb/environment.h"

/* What can be wrong with an environment that LMDB opened. */
extern const char databases_other_program[];
extern const char databases_newer_format[];

/* Opens the existing databases without waiting for a writer. If that fails, *code tells whether
 * this process cannot read at all. */
MUST_CHECK bool databases_open(struct environment *environment, int *code);

/* Opens them for who writes, creating those that are missing. Returns NULL, or what is wrong, a
 * message. */
const char *databases_create(struct environment *environment, MDB_txn *txn);

/* Whether every record can be read, whichever version wrote it. */
MUST_CHECK bool databases_can_be_read(const struct environment *environment);

#endif
