/* SPDX-License-Identifier: MIT
 *
 * What a host's keys mean for its replica: the follower keeps the replica sealed with the first,
 * and notices when one is missing. */
#ifndef STORE_PG_KEYS_H
#define STORE_PG_KEYS_H

#include "store/pg/connection.h"
#include "store/pg/shared.h"

/* What has been done; zeroed at first. */
struct pg_keys {
    struct store_version sealed_at; /* what the replica was when it was sealed; the tag 0: never */
    uint64_t seal_not_before_ns;    /* for nothing came of it */
    uint64_t looked_ns;
    unsigned copies; /* that were asked for */
};

/* Seals what is in the replica with the key that is now the first: rows come as they are in the
 * database, and stay in the replica when they are sealed anew there. Each step, of which there may
 * be many, ends within limit_ms; none begins when stop_fd is readable. Returns whether there were
 * rows that cannot be opened, so that the replica should be copied: the database may have them
 * sealed with another key now. After a few copies this is no longer said. */
MUST_CHECK bool pg_keys_seal(struct pg_keys *keys, struct pg_store *store,
                             struct documents_reader *reader, uint64_t limit_ms, int stop_fd);

/* Looks for what is sealed in the database, and notes it in the replica, for the metrics. Returns
 * false with a message in `reason` if a key for it is missing. */
MUST_CHECK bool pg_keys_look(struct pg_keys *keys, struct pg_store *store, struct pg *pg,
                             uint64_t limit_ms, char *reason, size_t reason_size);

/* Whether it is time to look again. */
bool pg_keys_are_due(const struct pg_keys *keys);

#endif
