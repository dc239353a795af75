/* SPDX-License-Identifier: MIT
 *
 * PostgreSQL as a store shared by many hosts. Changes are committed in the database. Reads come
 * from a replica in LMDB, which the follower keeps up to date (follower.c), and to which a worker
 * applies its own change before it answers. */
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
    bool complete; /* the replica has been seen to be a copy of the database; it remains one */
};

/* Takes a connection from the pool. Returns NULL if there is none in time, or at once if the
 * database is known to be away. */
struct pg_pooled *pg_backend_take(struct store_session *session, uint64_t deadline_ns);
void pg_backend_give(struct store_session *session, struct pg_pooled *pooled);

/* Counts a failed request to the database, and returns the corresponding store status. */
enum store_status pg_backend_failure(struct store_session *session, const struct pg *pg,
                                     enum pg_status status);

/* Reads a record from five columns that follow each other: sequence, revision, times of creation
 * and of the last change, document. */
struct store_record pg_backend_read_record(const PGresult *row, int column);

/* A statement with its parameters, for many rows. */
struct pg_question {
    const struct pg_statement *statement;
    const struct pg_value *values;
    int values_len;
};

/* Called for one row after another; after it has returned false, for no more. */
typedef bool pg_visit_row(void *context, const PGresult *row);

/* Asks the database, on a connection of the pool, and visits all rows of the answer. */
enum store_status pg_backend_ask(struct store_session *session, const struct pg_question *question,
                                 uint64_t deadline_ns, pg_visit_row *visit, void *context);

/* As in struct store_backend. */
enum store_status pg_backend_get(struct store_session *session, struct store_read *read,
                                 struct str id, struct store_record *record, struct buffer *out);
enum store_status pg_backend_each(struct store_session *session, struct store_read *read,
                                  store_visit *visit, void *context);
enum store_status pg_backend_ready(struct store_session *session, uint64_t deadline_ns);
enum store_status pg_backend_mask_key(struct store_session *session, uint64_t deadline_ns,
                                      uint8_t key[STORE_MASK_KEY_LEN]);
enum store_status pg_backend_history(struct store_session *session, struct store_read *read,
                                     struct str id, uint64_t from, store_visit_entry *visit,
                                     void *context);
enum store_status pg_backend_log(struct store_session *session, struct store_read *read,
                                 store_visit_entry *visit, void *context);
enum store_status pg_backend_reseal(struct store_session *session,
                                    struct store_resealing *resealing);
enum store_status pg_backend_holdings(struct store_session *session, const struct store_read *read,
                                      struct store_holding *list, size_t *len);
enum store_status pg_backend_change(struct store_session *session, struct store_batch *batch);

#endif
