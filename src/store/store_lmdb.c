/* SPDX-License-Identifier: MIT
 *
 * The embedded store: one LMDB environment, mapped by every process of the host. Reads take no lock
 * and no system call; a write is on disk when it is acknowledged.
 *
 *   meta       "store" -> struct meta
 *   ids        id -> sequence number
 *   documents  sequence number -> struct record and the document, so a list is one scan
 *
 * What LMDB asks of its users (lmdb.h): open after fork, once a process; a value is gone with its
 * transaction, so it is copied out. */
#include "store/store.h"

#include <errno.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/clock.h"
#include "core/log.h"

enum {
    FORMAT = 1,
    READERS_MAX = 4096, /* sessions of all processes; the first opener decides */
    DATABASES = 3,
    LEAST_ROOM = 1 << 20, /* a disk with less is full to us */
    PATH_SIZE = 512
};

struct meta {
    uint64_t format;
    uint64_t revision;
    uint64_t sequence; /* the last one given */
};

/* Stands before each document. */
struct record {
    uint64_t revision; /* of its last change */
    uint64_t created_us;
    uint64_t updated_us;
};

struct store {
    MDB_env *env;
    MDB_dbi meta;
    MDB_dbi ids;
    MDB_dbi documents;
    uint64_t max_bytes;
};

struct store_session {
    struct store *store;
    MDB_txn *reader; /* renewed for each read */
};

/* A change under way, in LMDB's one write transaction. */
struct change {
    MDB_txn *txn;
    struct meta meta;
    uint64_t now_us;
};

static MDB_val value_of(const void *data, size_t size)
{
    return (MDB_val){.mv_size = size, .mv_data = (void *)data};
}

static MDB_val id_key(struct str id)
{
    return value_of(id.data, id.len);
}

static MDB_val meta_key(void)
{
    return value_of("store", 5);
}

/* LMDB says EIO when a file system took only a part of what was written. */
static bool is_disk_full(MDB_env *env)
{
    const char *path;
    struct statvfs disk;
    return mdb_env_get_path(env, &path) == MDB_SUCCESS && statvfs(path, &disk) == 0 &&
           disk.f_bavail * disk.f_frsize < LEAST_ROOM;
}

/* What a failure of LMDB means to the caller. */
static enum store_status status_of(const struct store *store, int code, const char *doing)
{
    if (code == EIO && is_disk_full(store->env))
        code = ENOSPC;
    switch (code) {
    case MDB_SUCCESS:
        return STORE_OK;
    case MDB_NOTFOUND:
        return STORE_NOT_FOUND;
    case MDB_KEYEXIST:
        return STORE_EXISTS;
    case MDB_MAP_FULL:
    case MDB_TXN_FULL:
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        LOG(LOG_ERROR, "the store is full: raise STORE_MAX_BYTES or free disk space",
            LOG_TEXT("doing", doing), LOG_TEXT("error", mdb_strerror(code)));
        return STORE_FULL;
    default:
        LOG(LOG_ERROR, "the store failed", LOG_TEXT("doing", doing),
            LOG_TEXT("error", mdb_strerror(code)));
        return STORE_BROKEN;
    }
}

static int read_meta(struct store *store, MDB_txn *txn, struct meta *meta)
{
    MDB_val key = meta_key();
    MDB_val value;
    int code = mdb_get(txn, store->meta, &key, &value);
    if (code == MDB_SUCCESS && value.mv_size != sizeof *meta)
        return MDB_INVALID;
    if (code == MDB_SUCCESS)
        memcpy(meta, value.mv_data, sizeof *meta);
    return code;
}

static int write_meta(struct store *store, MDB_txn *txn, struct meta *meta)
{
    MDB_val key = meta_key();
    MDB_val value = value_of(meta, sizeof *meta);
    return mdb_put(txn, store->meta, &key, &value, 0);
}

/* ---- open and close ---- */

/* Whether an environment without our meta database is someone else's. */
static bool holds_anything(MDB_txn *txn)
{
    MDB_dbi main;
    MDB_stat stat;
    return mdb_dbi_open(txn, NULL, 0, &main) != MDB_SUCCESS ||
           mdb_stat(txn, main, &stat) != MDB_SUCCESS || stat.ms_entries > 0;
}

static int open_databases(struct store *store, MDB_txn *txn)
{
    int code = mdb_dbi_open(txn, "meta", MDB_CREATE, &store->meta);
    if (code == MDB_SUCCESS)
        code = mdb_dbi_open(txn, "ids", MDB_CREATE, &store->ids);
    if (code == MDB_SUCCESS)
        code = mdb_dbi_open(txn, "documents", MDB_CREATE | MDB_INTEGERKEY, &store->documents);
    return code;
}

/* Sees that the format is ours, or makes it so in a new environment. NULL, or what is wrong. */
static const char *check_format(struct store *store, MDB_txn *txn)
{
    struct meta meta = {.format = FORMAT};
    int code = mdb_dbi_open(txn, "meta", 0, &store->meta);
    if (code == MDB_NOTFOUND && holds_anything(txn))
        return "it is an LMDB environment of another program";
    if (code == MDB_NOTFOUND) {
        code = open_databases(store, txn);
        if (code == MDB_SUCCESS)
            code = write_meta(store, txn, &meta);
        return code == MDB_SUCCESS ? NULL : mdb_strerror(code);
    }
    if (code == MDB_SUCCESS)
        code = read_meta(store, txn, &meta);
    if (code == MDB_NOTFOUND || code == MDB_INVALID)
        return "it is an LMDB environment of another program";
    if (code == MDB_SUCCESS && meta.format != FORMAT)
        return "it was written by a newer version of integration-service";
    if (code == MDB_SUCCESS)
        code = open_databases(store, txn);
    return code == MDB_SUCCESS ? NULL : mdb_strerror(code);
}

/* Opens the databases in the open environment. NULL, or what is wrong. */
static const char *prepare(struct store *store)
{
    MDB_txn *txn;
    int code = mdb_txn_begin(store->env, NULL, 0, &txn);
    if (code != MDB_SUCCESS)
        return mdb_strerror(code);
    const char *wrong = check_format(store, txn);
    if (wrong != NULL) {
        mdb_txn_abort(txn);
        return wrong;
    }
    code = mdb_txn_commit(txn);
    return code == MDB_SUCCESS ? NULL : mdb_strerror(code);
}

static const char *open_environment(struct store *store, const char *path)
{
    int dead = 0;
    int code = mdb_env_create(&store->env);
    if (code != MDB_SUCCESS)
        return mdb_strerror(code);
    mdb_env_set_maxdbs(store->env, DATABASES);
    mdb_env_set_maxreaders(store->env, READERS_MAX);
    mdb_env_set_mapsize(store->env, store->max_bytes);
    code = mdb_env_open(store->env, path, MDB_NOTLS, 0660);
    if (code == MDB_INVALID || code == MDB_VERSION_MISMATCH)
        return "data.mdb is not an LMDB file that this version can read";
    if (code != MDB_SUCCESS)
        return mdb_strerror(code);
    /* A reader that was killed would keep old pages from being used again. */
    mdb_reader_check(store->env, &dead);
    return prepare(store);
}

static void lmdb_close(struct store *store)
{
    mdb_env_close(store->env);
    free(store);
}

static struct store *lmdb_open(const struct store_options *options, char *error, size_t error_size)
{
    char path[PATH_SIZE];
    struct store *store = calloc(1, sizeof *store);
    if (store == NULL) {
        snprintf(error, error_size, "no memory for the store");
        return NULL;
    }
    store->max_bytes = options->max_bytes;
    const char *wrong = NULL;
    int length = snprintf(path, sizeof path, "%s/store", options->directory);
    if (length < 0 || (size_t)length >= sizeof path)
        wrong = "the path is too long";
    else if (mkdir(path, 0770) != 0 && errno != EEXIST)
        wrong = strerror(errno);
    else
        wrong = open_environment(store, path);
    if (wrong == NULL)
        return store;
    snprintf(error, error_size, "cannot open the store in %s: %s", path, wrong);
    lmdb_close(store);
    return NULL;
}

static struct store_session *lmdb_session_open(struct store *store)
{
    struct store_session *session = calloc(1, sizeof *session);
    if (session == NULL)
        return NULL;
    session->store = store;
    int code = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &session->reader);
    if (code != MDB_SUCCESS) {
        (void)status_of(store, code, "opening a session");
        free(session);
        return NULL;
    }
    mdb_txn_reset(session->reader);
    return session;
}

static void lmdb_session_close(struct store_session *session)
{
    mdb_txn_abort(session->reader);
    free(session);
}

/* ---- reads ---- */

static void append_document(struct buffer *out, MDB_val value)
{
    buffer_append(out, (const char *)value.mv_data + sizeof(struct record),
                  value.mv_size - sizeof(struct record));
}

static enum store_status lmdb_get(struct store_session *session, struct str id, struct buffer *out)
{
    struct store *store = session->store;
    MDB_val key = id_key(id);
    MDB_val sequence;
    MDB_val value;
    int code = mdb_txn_renew(session->reader);
    if (code != MDB_SUCCESS)
        return status_of(store, code, "reading");
    code = mdb_get(session->reader, store->ids, &key, &sequence);
    if (code == MDB_SUCCESS)
        code = mdb_get(session->reader, store->documents, &sequence, &value);
    if (code == MDB_SUCCESS)
        append_document(out, value);
    mdb_txn_reset(session->reader);
    return status_of(store, code, "reading");
}

static enum store_status lmdb_list(struct store_session *session, struct buffer *out)
{
    MDB_cursor *cursor;
    MDB_val key;
    MDB_val value;
    size_t start = out->len;
    int code = mdb_txn_renew(session->reader);
    if (code != MDB_SUCCESS)
        return status_of(session->store, code, "listing");
    code = mdb_cursor_open(session->reader, session->store->documents, &cursor);
    if (code == MDB_SUCCESS) {
        while ((code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == MDB_SUCCESS) {
            if (out->len > start)
                buffer_append_char(out, ',');
            append_document(out, value);
        }
        mdb_cursor_close(cursor);
    }
    mdb_txn_reset(session->reader);
    return code == MDB_NOTFOUND ? STORE_OK : status_of(session->store, code, "listing");
}

static enum store_status lmdb_stats(struct store_session *session, struct store_stats *stats)
{
    struct store *store = session->store;
    struct meta meta;
    MDB_stat documents;
    MDB_envinfo info;
    int code = mdb_txn_renew(session->reader);
    if (code != MDB_SUCCESS)
        return status_of(store, code, "reading the revision");
    code = read_meta(store, session->reader, &meta);
    if (code == MDB_SUCCESS)
        code = mdb_stat(session->reader, store->documents, &documents);
    mdb_txn_reset(session->reader);
    if (code != MDB_SUCCESS)
        return status_of(store, code, "reading the revision");
    mdb_env_info(store->env, &info);
    *stats = (struct store_stats){.revision = meta.revision,
                                  .integrations = documents.ms_entries,
                                  .used_bytes = (info.me_last_pgno + 1) * documents.ms_psize,
                                  .max_bytes = info.me_mapsize,
                                  .readers = info.me_numreaders};
    return STORE_OK;
}

/* ---- writes ---- */

static int begin_change(struct store *store, struct change *change)
{
    int code = mdb_txn_begin(store->env, NULL, 0, &change->txn);
    if (code != MDB_SUCCESS)
        return code;
    change->now_us = clock_wall_us();
    code = read_meta(store, change->txn, &change->meta);
    if (code != MDB_SUCCESS)
        mdb_txn_abort(change->txn);
    return code;
}

/* Commits the change under the next revision, or undoes it if `code` says that it failed. */
static enum store_status end_change(struct store *store, struct change *change, int code,
                                    const char *doing)
{
    if (code == MDB_SUCCESS) {
        change->meta.revision++;
        code = write_meta(store, change->txn, &change->meta);
    }
    if (code != MDB_SUCCESS) {
        mdb_txn_abort(change->txn);
        return status_of(store, code, doing);
    }
    return status_of(store, mdb_txn_commit(change->txn), doing);
}

static int put_document(struct store *store, struct change *change, uint64_t sequence,
                        uint64_t created_us, struct str document, unsigned flags)
{
    struct record record = {change->meta.revision + 1, created_us, change->now_us};
    MDB_val key = value_of(&sequence, sizeof sequence);
    MDB_val value = {.mv_size = sizeof record + document.len};
    int code = mdb_put(change->txn, store->documents, &key, &value, flags | MDB_RESERVE);
    if (code == MDB_SUCCESS) {
        memcpy(value.mv_data, &record, sizeof record);
        memcpy((char *)value.mv_data + sizeof record, document.data, document.len);
    }
    return code;
}

static int insert(struct store *store, struct change *change, const struct store_item *item)
{
    uint64_t sequence = change->meta.sequence + 1;
    MDB_val key = id_key(item->id);
    MDB_val value = value_of(&sequence, sizeof sequence);
    int code = mdb_put(change->txn, store->ids, &key, &value, MDB_NOOVERWRITE);
    if (code != MDB_SUCCESS)
        return code;
    change->meta.sequence = sequence;
    return put_document(store, change, sequence, change->now_us, item->document, MDB_APPEND);
}

static int update(struct store *store, struct change *change, const struct store_item *item)
{
    MDB_val key = id_key(item->id);
    MDB_val sequence_value;
    MDB_val old;
    struct record record;
    uint64_t sequence;
    int code = mdb_get(change->txn, store->ids, &key, &sequence_value);
    if (code == MDB_SUCCESS)
        code = mdb_get(change->txn, store->documents, &sequence_value, &old);
    if (code != MDB_SUCCESS)
        return code;
    memcpy(&sequence, sequence_value.mv_data, sizeof sequence);
    memcpy(&record, old.mv_data, sizeof record);
    return put_document(store, change, sequence, record.created_us, item->document, 0);
}

static int erase(struct store *store, struct change *change, struct str id)
{
    MDB_val key = id_key(id);
    MDB_val sequence_value;
    uint64_t sequence;
    int code = mdb_get(change->txn, store->ids, &key, &sequence_value);
    if (code != MDB_SUCCESS)
        return code;
    memcpy(&sequence, sequence_value.mv_data, sizeof sequence);
    sequence_value = value_of(&sequence, sizeof sequence);
    code = mdb_del(change->txn, store->ids, &key, NULL);
    return code == MDB_SUCCESS ? mdb_del(change->txn, store->documents, &sequence_value, NULL)
                               : code;
}

static enum store_status lmdb_create(struct store_session *session, const struct store_item *item)
{
    struct change change;
    int code = begin_change(session->store, &change);
    if (code != MDB_SUCCESS)
        return status_of(session->store, code, "creating");
    code = insert(session->store, &change, item);
    return end_change(session->store, &change, code, "creating");
}

static enum store_status lmdb_replace(struct store_session *session, const struct store_item *item)
{
    struct change change;
    int code = begin_change(session->store, &change);
    if (code != MDB_SUCCESS)
        return status_of(session->store, code, "replacing");
    code = update(session->store, &change, item);
    return end_change(session->store, &change, code, "replacing");
}

static enum store_status lmdb_remove(struct store_session *session, struct str id)
{
    struct change change;
    int code = begin_change(session->store, &change);
    if (code != MDB_SUCCESS)
        return status_of(session->store, code, "removing");
    code = erase(session->store, &change, id);
    return end_change(session->store, &change, code, "removing");
}

static enum store_status lmdb_seed(struct store_session *session, const struct store_item *items,
                                   size_t items_len)
{
    struct change change;
    int code = begin_change(session->store, &change);
    if (code != MDB_SUCCESS)
        return status_of(session->store, code, "seeding");
    if (change.meta.revision > 0) {
        mdb_txn_abort(change.txn);
        return STORE_OK;
    }
    for (size_t i = 0; i < items_len && code == MDB_SUCCESS; i++)
        code = insert(session->store, &change, &items[i]);
    return end_change(session->store, &change, code, "seeding");
}

const struct store_backend store_lmdb = {
    .name = "lmdb",
    .open = lmdb_open,
    .close = lmdb_close,
    .session_open = lmdb_session_open,
    .session_close = lmdb_session_close,
    .get = lmdb_get,
    .list = lmdb_list,
    .create = lmdb_create,
    .replace = lmdb_replace,
    .remove = lmdb_remove,
    .seed = lmdb_seed,
    .stats = lmdb_stats,
};
