/* SPDX-License-Identifier: MIT
 *
 * The form of the entries in the log of changes of an embedded store. */
#ifndef STORE_LMDB_ENTRIES_H
#define STORE_LMDB_ENTRIES_H

#include "store/lmdb/environment.h"

/* Writes an entry to `out`, in place of what is there. */
void entries_compose(const struct store_entry *entry, struct buffer *out);

/* Reads an entry, whose texts are then those of `value`. Returns false, logged, if it is damaged.
 */
MUST_CHECK bool entries_read(MDB_val key, MDB_val value, struct store_entry *entry);

/* Entries made before this are not kept; now_us: the time now. */
uint64_t entries_oldest_us(const struct environment *environment, uint64_t now_us);

#endif
