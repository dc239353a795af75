/* SPDX-License-Identifier: MIT
 *
 * The readers of an LMDB environment. As long as one of them reads, no page that was freed since is
 * used again, so the store grows with each change (lmdb.h, "Caveats"). */
#ifndef STORE_LMDB_READERS_H
#define STORE_LMDB_READERS_H

#include "store/lmdb/environment.h"

/* At most once a second, over all processes: forgets readers that were killed, and notes since when
 * the oldest one has been reading. */
void readers_check(struct environment *environment);

/* For how long the oldest reader has kept freed pages from being used again, in ms, as of the last
 * check; 0: none does. */
uint64_t readers_oldest_ms(const struct environment *environment);

#endif
