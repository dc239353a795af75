/* SPDX-License-Identifier: MIT
 *
 * PostgreSQL as the store of many hosts. Changes are committed there; reads come from a replica in
 * LMDB, which the follower keeps up to date (follower.c), and into which a worker puts its own
 * change before it answers. */
#ifndef STORE_PG_BACKEND_H
#define STORE_PG_BACKEND_H

#include "store/pg/pool.h"
#include "store/pg/shared.h"

struct store {
    struct pg_store shared;
    struct pg_pool pool;
};

struct store_session {
    struct store *store;
    struct documents_reader reader;
    bool complete; /* the replica was seen to be a copy of the database; it stays one */
};

/* Lends a connection, unless it is known that there is none to be had: NULL. */
struct pg_pooled *pg_backend_take(struct store_session *session, uint64_t deadline_ns);
void pg_backend_give(struct store_session *session, struct pg_pooled *pooled);

/* What it means to the caller that the database did not do what it was asked; counts it. */
enum store_status pg_backend_failure(struct store_session *session, const struct pg *pg,
                                     enum pg_status status);

/* What struct store_backend promises. */
enum store_status pg_backend_get(struct store_session *session, struct store_read *read,
                                 struct str id, struct store_record *record, struct buffer *out);
enum store_status pg_backend_each(struct store_session *session, struct store_read *read,
                                  store_visit *visit, void *context);
enum store_status pg_backend_ready(struct store_session *session, uint64_t deadline_ns);
enum store_status pg_backend_change(struct store_session *session, struct store_batch *batch);

#endif
