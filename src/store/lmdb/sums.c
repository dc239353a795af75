/* SPDX-License-Identifier: MIT */
#include "store/lmdb/sums.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

struct sum {
    uint64_t revision; /* of the document */
    uint64_t len;      /* compared first: a damaged length may point out of the file */
    uint64_t hash;
};

static struct sum sum_of(uint64_t sequence, MDB_val stored)
{
    struct sum sum = {.len = stored.mv_size,
                      .hash = XXH3_64bits_withSeed(stored.mv_data, stored.mv_size, sequence)};
    memcpy(&sum.revision, stored.mv_data, sizeof sum.revision);
    return sum;
}

int sums_put(MDB_txn *txn, MDB_dbi sums, uint64_t sequence, MDB_val stored)
{
    struct sum sum = sum_of(sequence, stored);
    MDB_val key = environment_value(&sequence, sizeof sequence);
    MDB_val value = environment_value(&sum, sizeof sum);
    return mdb_put(txn, sums, &key, &value, 0);
}

int sums_remove(MDB_txn *txn, MDB_dbi sums, uint64_t sequence)
{
    MDB_val key = environment_value(&sequence, sizeof sequence);
    int code = mdb_del(txn, sums, &key, NULL);
    return code == MDB_NOTFOUND ? MDB_SUCCESS : code;
}

/* Whether every document must have the checksum of its revision: a program that does not know them
 * has not changed the store since sums_rebuild. Never known of a replica. */
static bool are_complete(const struct environment *environment, MDB_txn *txn)
{
    struct environment_meta meta = {0};
    struct store_version version = {0};
    return !environment->replica && environment_read_meta(environment, txn, &meta) == MDB_SUCCESS &&
           environment_read_version(environment, txn, &meta, &version) == MDB_SUCCESS &&
           version.tag != ENVIRONMENT_TAG_UNKNOWN;
}

int sums_rebuild(const struct environment *environment, MDB_txn *txn)
{
    MDB_cursor *cursor;
    MDB_val key;
    MDB_val value;
    uint64_t sequence;
    const struct environment_set *set = &environment->sets[0];
    int code = mdb_drop(txn, set->sums, 0);
    if (code == MDB_SUCCESS)
        code = mdb_cursor_open(txn, set->documents, &cursor);
    if (code != MDB_SUCCESS)
        return code;
    while ((code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == MDB_SUCCESS) {
        memcpy(&sequence, key.mv_data, sizeof sequence);
        code = value.mv_size < sizeof sequence ? MDB_CORRUPTED
                                               : sums_put(txn, set->sums, sequence, value);
        if (code != MDB_SUCCESS)
            break;
    }
    mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND ? MDB_SUCCESS : code;
}

bool sums_agree(const struct environment *environment, MDB_txn *txn,
                const struct environment_set *set, uint64_t sequence, MDB_val stored)
{
    struct sum sum;
    uint64_t revision;
    MDB_val key = environment_value(&sequence, sizeof sequence);
    MDB_val value;
    if (stored.mv_size < sizeof revision)
        return false;
    memcpy(&revision, stored.mv_data, sizeof revision);
    int code = mdb_get(txn, set->sums, &key, &value);
    if (code == MDB_NOTFOUND)
        return !are_complete(environment, txn);
    if (code != MDB_SUCCESS || value.mv_size != sizeof sum)
        return false;
    memcpy(&sum, value.mv_data, sizeof sum);
    if (revision > sum.revision)
        return !are_complete(environment, txn);
    return sum.len == stored.mv_size && sum.revision == revision &&
           sum.hash == XXH3_64bits_withSeed(stored.mv_data, stored.mv_size, sequence);
}
