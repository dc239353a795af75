/* SPDX-License-Identifier: MIT */
#include "store/lmdb/databases.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"

enum { FORMAT = 1 };

const char databases_other_program[] = "it is an LMDB environment of another program";
const char databases_newer_format[] = "it was written by a newer version of integration-service";

/* Of the databases of each set. */
static const struct {
    const char *ids;
    const char *documents;
    const char *sums;
} names[] = {{"ids", "documents", "sums"}, {"ids2", "documents2", "sums2"}};

static const struct str meta_key = STR_INIT("store");
static const struct str masks_key = STR_INIT("masks");

/* ---- what they say of the store ---- */

int environment_read_meta(const struct environment *environment, MDB_txn *txn,
                          struct environment_meta *meta)
{
    MDB_val key = environment_value(meta_key.data, meta_key.len);
    MDB_val value;
    int code = mdb_get(txn, environment->meta, &key, &value);
    if (code == MDB_SUCCESS && value.mv_size != sizeof *meta)
        return MDB_INVALID;
    if (code == MDB_SUCCESS)
        memcpy(meta, value.mv_data, sizeof *meta);
    return code;
}

int environment_write_meta(struct environment *environment, MDB_txn *txn,
                           struct environment_meta *meta)
{
    MDB_val key = environment_value(meta_key.data, meta_key.len);
    MDB_val value = environment_value(meta, sizeof *meta);
    return mdb_put(txn, environment->meta, &key, &value, 0);
}

static MDB_val version_key(const struct environment *environment)
{
    return environment->replica ? environment_value("replica", 7) : environment_value("version", 7);
}

/* What is stored of a version: all of it, or its tag alone. */
static MDB_val version_value(const struct environment *environment,
                             const struct store_version *version)
{
    return environment->replica ? environment_value(&version->tag, sizeof version->tag)
                                : environment_value(version, sizeof *version);
}

int environment_read_version(const struct environment *environment, MDB_txn *txn,
                             const struct environment_meta *meta, struct store_version *version)
{
    struct store_version stored = {.revision = meta->revision};
    MDB_val key = version_key(environment);
    MDB_val value;
    int code = mdb_get(txn, environment->meta, &key, &value);
    if (code == MDB_SUCCESS && value.mv_size == sizeof stored)
        memcpy(&stored, value.mv_data, sizeof stored);
    else if (code == MDB_SUCCESS && value.mv_size == sizeof stored.tag)
        memcpy(&stored.tag, value.mv_data, sizeof stored.tag);
    else if (code == MDB_SUCCESS)
        return MDB_INVALID;
    bool known = code == MDB_SUCCESS && stored.revision == meta->revision;
    *version = (struct store_version){meta->revision, known ? stored.tag : ENVIRONMENT_TAG_UNKNOWN};
    return code == MDB_NOTFOUND && !environment->replica ? MDB_SUCCESS : code;
}

int environment_write_version(struct environment *environment, MDB_txn *txn,
                              const struct store_version *version)
{
    MDB_val key = version_key(environment);
    MDB_val value = version_value(environment, version);
    return mdb_put(txn, environment->meta, &key, &value, 0);
}

int environment_read_masks(const struct environment *environment, MDB_txn *txn,
                           uint8_t key[STORE_MASK_KEY_LEN])
{
    MDB_val name = environment_value(masks_key.data, masks_key.len);
    MDB_val value;
    int code = mdb_get(txn, environment->meta, &name, &value);
    if (code == MDB_SUCCESS && value.mv_size != STORE_MASK_KEY_LEN)
        return MDB_INVALID;
    if (code == MDB_SUCCESS)
        memcpy(key, value.mv_data, STORE_MASK_KEY_LEN);
    return code;
}

int environment_write_masks(const struct environment *environment, MDB_txn *txn,
                            const uint8_t key[STORE_MASK_KEY_LEN])
{
    MDB_val name = environment_value(masks_key.data, masks_key.len);
    MDB_val value = environment_value(key, STORE_MASK_KEY_LEN);
    return mdb_put(txn, environment->meta, &name, &value, 0);
}

/* Whether the key is there that the environment must have. A replica gets it from the database. */
static bool has_masks(const struct environment *environment, MDB_txn *txn)
{
    uint8_t key[STORE_MASK_KEY_LEN];
    return environment->replica || environment_read_masks(environment, txn, key) != MDB_NOTFOUND;
}

static int make_masks(const struct environment *environment, MDB_txn *txn)
{
    uint8_t key[STORE_MASK_KEY_LEN];
    if (has_masks(environment, txn))
        return MDB_SUCCESS;
    if (getrandom(key, sizeof key, 0) != (ssize_t)sizeof key)
        return errno;
    return environment_write_masks(environment, txn, key);
}

/* ---- opening ---- */

/* Whether an environment without our "meta" database contains data of another program. */
static bool holds_anything(MDB_txn *txn)
{
    MDB_dbi main;
    MDB_stat stat;
    return mdb_dbi_open(txn, NULL, 0, &main) != MDB_SUCCESS ||
           mdb_stat(txn, main, &stat) != MDB_SUCCESS || stat.ms_entries > 0;
}

static int open_set(struct environment *environment, MDB_txn *txn, size_t i, unsigned flags)
{
    struct environment_set *set = &environment->sets[i];
    int code = mdb_dbi_open(txn, names[i].ids, flags, &set->ids);
    if (code == MDB_SUCCESS)
        code = mdb_dbi_open(txn, names[i].documents, flags | MDB_INTEGERKEY, &set->documents);
    if (code == MDB_SUCCESS)
        code = mdb_dbi_open(txn, names[i].sums, flags | MDB_INTEGERKEY, &set->sums);
    return code;
}

static int open_log(struct environment *environment, MDB_txn *txn, unsigned flags)
{
    int code = mdb_dbi_open(txn, "changes", flags | MDB_INTEGERKEY, &environment->changes);
    if (code == MDB_SUCCESS)
        code = mdb_dbi_open(txn, "history", flags | MDB_DUPSORT | MDB_DUPFIXED | MDB_INTEGERDUP,
                            &environment->history);
    return code;
}

/* Opens all databases. `flags`: 0 or MDB_CREATE. */
static int open_all(struct environment *environment, MDB_txn *txn, unsigned flags)
{
    int code = mdb_dbi_open(txn, "meta", flags, &environment->meta);
    if (code == MDB_SUCCESS)
        code = open_set(environment, txn, 0, flags);
    if (code == MDB_SUCCESS)
        code = environment->replica ? open_set(environment, txn, 1, flags)
                                    : open_log(environment, txn, flags);
    return code;
}

/* Fills an environment that holds nothing. */
static int initialize(struct environment *environment, MDB_txn *txn)
{
    struct environment_meta meta = {.format = FORMAT};
    int code = open_all(environment, txn, MDB_CREATE);
    if (code == MDB_SUCCESS)
        code = environment_write_meta(environment, txn, &meta);
    if (code == MDB_SUCCESS && !environment->replica)
        code = environment_write_version(environment, txn,
                                         &(struct store_version){0, clock_wall_us()});
    return code;
}

/* Whether the format is ours; returns NULL, or what is wrong. */
static const char *check_format(const struct environment *environment, MDB_txn *txn)
{
    struct environment_meta meta = {0};
    int code = environment_read_meta(environment, txn, &meta);
    if (code == MDB_NOTFOUND || code == MDB_INVALID)
        return databases_other_program;
    if (code != MDB_SUCCESS)
        return mdb_strerror(code);
    return meta.format == FORMAT ? NULL : databases_newer_format;
}

const char *databases_create(struct environment *environment, MDB_txn *txn)
{
    const char *wrong = NULL;
    int code = mdb_dbi_open(txn, "meta", 0, &environment->meta);
    if (code == MDB_INVALID || (code == MDB_NOTFOUND && holds_anything(txn)))
        return databases_other_program;
    if (code == MDB_NOTFOUND) {
        code = initialize(environment, txn);
    } else if (code == MDB_SUCCESS) {
        wrong = check_format(environment, txn);
        if (wrong == NULL)
            code = open_all(environment, txn, MDB_CREATE);
    }
    if (wrong == NULL && code == MDB_SUCCESS)
        code = make_masks(environment, txn);
    if (wrong == NULL && code != MDB_SUCCESS)
        wrong = mdb_strerror(code);
    return wrong;
}

bool databases_open(struct environment *environment, int *code)
{
    MDB_txn *txn;
    struct environment_meta meta = {0};
    *code = mdb_txn_begin(environment->env, NULL, MDB_RDONLY, &txn);
    if (*code != MDB_SUCCESS)
        return false;
    bool opened = open_all(environment, txn, 0) == MDB_SUCCESS &&
                  environment_read_meta(environment, txn, &meta) == MDB_SUCCESS &&
                  meta.format == FORMAT && has_masks(environment, txn);
    if (opened)
        return mdb_txn_commit(txn) == MDB_SUCCESS; /* keeps the database handles */
    mdb_txn_abort(txn);
    return false;
}

/* ---- looking through ---- */

/* Whether a value ends in a page that was missing: such pages are all zeros. */
static bool is_zero(MDB_val value)
{
    return value.mv_size == 0 || ((const char *)value.mv_data)[value.mv_size - 1] == '\0';
}

/* Reads all records of a database. */
static int read_all(MDB_txn *txn, MDB_dbi database, bool are_texts)
{
    MDB_cursor *cursor;
    MDB_val key;
    MDB_val value;
    int code = mdb_cursor_open(txn, database, &cursor);
    if (code != MDB_SUCCESS)
        return code;
    do
        code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    while (code == MDB_SUCCESS && !(are_texts && is_zero(value)));
    mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND ? MDB_SUCCESS : MDB_CORRUPTED;
}

/* Reads all records of the database of that name. */
static int read_named(MDB_txn *txn, const char *name, unsigned flags, bool are_texts)
{
    MDB_dbi database;
    int code = mdb_dbi_open(txn, name, flags, &database);
    return code == MDB_SUCCESS ? read_all(txn, database, are_texts) : code;
}

static int read_set(MDB_txn *txn, size_t i)
{
    int code = read_named(txn, names[i].ids, 0, false);
    return code == MDB_SUCCESS ? read_named(txn, names[i].documents, MDB_INTEGERKEY, true) : code;
}

bool databases_can_be_read(const struct environment *environment)
{
    MDB_txn *txn;
    int code = mdb_txn_begin(environment->env, NULL, MDB_RDONLY, &txn);
    if (code != MDB_SUCCESS)
        return false;
    code = read_set(txn, 0);
    if (code == MDB_SUCCESS && environment->replica) {
        code = read_set(txn, 1);
        if (code == MDB_NOTFOUND)
            code = MDB_SUCCESS; /* an earlier version made the replica */
    }
    mdb_txn_abort(txn); /* closes the handles */
    return code == MDB_SUCCESS;
}
