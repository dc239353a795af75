/* SPDX-License-Identifier: MIT
 *
 * The connections of one process, lent to its threads one at a time. */
#ifndef STORE_PG_POOL_H
#define STORE_PG_POOL_H

#include <pthread.h>

#include "store/pg/area.h"
#include "store/pg/connection.h"
#include "store/pg/target.h"

struct pg_pooled {
    struct pg pg;
    int place; /* in the area */
    bool lent; /* to a thread, or being opened by one */
    bool open;
    uint64_t idle_since_ns;
};

/* How many connections a process may have. */
struct pg_share {
    size_t limit; /* at once */
    size_t fair;  /* of them it need not give up to another process that has fewer */
    size_t kept;  /* of them stay open when they have been idle for long */
};

struct pg_pool {
    struct pg_target *target;
    struct pg_area *area;
    struct pg_settings settings;
    struct pg_share share;
    pthread_mutex_t lock;
    pthread_cond_t returned;
    struct pg_pooled *entries; /* share.limit of them */
};

/* False: there is no memory. `target` and `area` must outlive the pool. */
MUST_CHECK bool pg_pool_open(struct pg_pool *pool, struct pg_target *target, struct pg_area *area,
                             const struct pg_settings *settings, const struct pg_share *share);
/* All connections have been given back. */
void pg_pool_close(struct pg_pool *pool);

/* Lends a connection that stands, opening one if need be. NULL: there was none in time; it has been
 * logged why. */
struct pg_pooled *pg_pool_take(struct pg_pool *pool, uint64_t deadline_ns);
/* Gives it back; a lost one is ended. */
void pg_pool_give(struct pg_pool *pool, struct pg_pooled *pooled);

/* From now on nothing idle is kept: others need the places. */
void pg_pool_retire(struct pg_pool *pool);

#endif
