/* SPDX-License-Identifier: MIT
 *
 * The connection pool of a process, which lends each connection to one thread at a time. */
#ifndef STORE_PG_POOL_H
#define STORE_PG_POOL_H

#include <pthread.h>

#include "store/pg/area.h"
#include "store/pg/connection.h"
#include "store/pg/target.h"

struct pg_pooled {
    struct pg pg;
    int place; /* index in the area */
    bool lent; /* in use by a thread, or being opened by it */
    bool open;
    uint64_t idle_since_ns;
};

/* How many connections a process may have. */
struct pg_share {
    size_t limit; /* maximum */
    size_t fair;  /* this many need not be given up to another process that has fewer */
    size_t kept;  /* this many stay open even when idle for long */
};

struct pg_pool {
    struct pg_target *target;
    struct pg_area *area;
    struct pg_settings settings;
    struct pg_share share;
    pthread_mutex_t lock;
    pthread_cond_t returned;
    struct pg_pooled *entries; /* share.limit of them */
    atomic_size_t connected;   /* entries with a connection */
    _Atomic uint64_t refused_until_ns;
};

/* Returns false if memory is lacking. `target` and `area` must outlive the pool. */
MUST_CHECK bool pg_pool_open(struct pg_pool *pool, struct pg_target *target, struct pg_area *area,
                             const struct pg_settings *settings, const struct pg_share *share);
/* All connections must have been given back. */
void pg_pool_close(struct pg_pool *pool);

/* Lends a working connection, opening one if necessary. Returns NULL if none became available in
 * time; the reason has been logged. */
struct pg_pooled *pg_pool_take(struct pg_pool *pool, uint64_t deadline_ns);
/* Gives a connection back; closes it if it was lost. */
void pg_pool_give(struct pg_pool *pool, struct pg_pooled *pooled);

/* Called each second: where the server allows fewer connections than our settings, closes idle ones
 * for the follower, which comes first, or for a process that has none. */
void pg_pool_make_room(struct pg_pool *pool);

/* Stops keeping idle connections open, because others need the places. */
void pg_pool_retire(struct pg_pool *pool);

#endif
