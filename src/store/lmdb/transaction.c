/* SPDX-License-Identifier: MIT
 *
 * Transactions of an environment, whose mapping another process may have made too small. */
#include "store/lmdb/environment.h"

/* A transaction that is begun or, if it is one that was reset, renewed. */
static int begin(struct environment *environment, unsigned flags, MDB_txn **txn)
{
    return *txn == NULL ? mdb_txn_begin(environment->env, NULL, flags, txn) : mdb_txn_renew(*txn);
}

/* The same, while the mapping stays where it is. LMDB lets the mapping follow only while this
 * process has no transaction (mdb_env_set_mapsize). */
static int begin_mapped(struct environment *environment, unsigned flags, MDB_txn **txn)
{
    int code;
    pthread_rwlock_rdlock(&environment->map);
    while ((code = begin(environment, flags, txn)) == MDB_MAP_RESIZED) {
        pthread_rwlock_unlock(&environment->map);
        pthread_rwlock_wrlock(&environment->map);
        code = mdb_env_set_mapsize(environment->env, 0);
        pthread_rwlock_unlock(&environment->map);
        pthread_rwlock_rdlock(&environment->map);
        if (code != MDB_SUCCESS)
            break;
    }
    if (code != MDB_SUCCESS)
        pthread_rwlock_unlock(&environment->map);
    return code;
}

int environment_open_reader(struct environment *environment, MDB_txn **reader)
{
    *reader = NULL;
    int code = begin_mapped(environment, MDB_RDONLY, reader);
    if (code == MDB_SUCCESS)
        environment_end_read(environment, *reader);
    return code;
}

int environment_begin_read(struct environment *environment, MDB_txn *reader)
{
    return begin_mapped(environment, MDB_RDONLY, &reader);
}

void environment_end_read(struct environment *environment, MDB_txn *reader)
{
    mdb_txn_reset(reader);
    pthread_rwlock_unlock(&environment->map);
}

int environment_begin_write(struct environment *environment, MDB_txn **txn)
{
    *txn = NULL;
    return begin_mapped(environment, 0, txn);
}

int environment_commit(struct environment *environment, MDB_txn *txn)
{
    int code = mdb_txn_commit(txn);
    pthread_rwlock_unlock(&environment->map);
    return code;
}

void environment_abort(struct environment *environment, MDB_txn *txn)
{
    mdb_txn_abort(txn);
    pthread_rwlock_unlock(&environment->map);
}

int environment_next(MDB_txn *txn, MDB_dbi database, uint64_t after, MDB_val *key, MDB_val *value)
{
    MDB_cursor *cursor;
    uint64_t first = after + 1;
    MDB_val found = environment_value(&first, sizeof first);
    int code = mdb_cursor_open(txn, database, &cursor);
    if (code != MDB_SUCCESS)
        return code;
    code = mdb_cursor_get(cursor, &found, value, MDB_SET_RANGE);
    mdb_cursor_close(cursor);
    if (code == MDB_SUCCESS)
        *key = found;
    return code;
}
