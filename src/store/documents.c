/* SPDX-License-Identifier: MIT */
#include "store/documents.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/lock.h"
#include "core/log.h"

enum {
    FORMAT = 1,
    READERS_MAX = 4096, /* sessions of all processes; the first opener decides */
    DATABASES = 3,
    LEAST_ROOM = 1 << 20 /* a disk with less is full to us */
};

/* Stands before each document. */
struct record {
    uint64_t revision; /* of its last change */
    uint64_t created_us;
    uint64_t updated_us;
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

static MDB_val tag_key(void)
{
    return value_of("replica", 7);
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
static enum store_status status_of(const struct documents *documents, int code, const char *doing)
{
    if (code == EIO && is_disk_full(documents->env))
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

static int read_meta(struct documents *documents, MDB_txn *txn, struct documents_meta *meta)
{
    MDB_val key = meta_key();
    MDB_val value;
    int code = mdb_get(txn, documents->meta, &key, &value);
    if (code == MDB_SUCCESS && value.mv_size != sizeof *meta)
        return MDB_INVALID;
    if (code == MDB_SUCCESS)
        memcpy(meta, value.mv_data, sizeof *meta);
    return code;
}

static int write_meta(struct documents *documents, MDB_txn *txn, struct documents_meta *meta)
{
    MDB_val key = meta_key();
    MDB_val value = value_of(meta, sizeof *meta);
    return mdb_put(txn, documents->meta, &key, &value, 0);
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

static int open_databases(struct documents *documents, MDB_txn *txn)
{
    int code = mdb_dbi_open(txn, "meta", MDB_CREATE, &documents->meta);
    if (code == MDB_SUCCESS)
        code = mdb_dbi_open(txn, "ids", MDB_CREATE, &documents->ids);
    if (code == MDB_SUCCESS)
        code = mdb_dbi_open(txn, "documents", MDB_CREATE | MDB_INTEGERKEY, &documents->documents);
    return code;
}

/* Sees that the format is ours, or makes it so in a new environment. NULL, or what is wrong. */
static const char *check_format(struct documents *documents, MDB_txn *txn)
{
    struct documents_meta meta = {.format = FORMAT};
    int code = mdb_dbi_open(txn, "meta", 0, &documents->meta);
    if (code == MDB_NOTFOUND && holds_anything(txn))
        return "it is an LMDB environment of another program";
    if (code == MDB_NOTFOUND) {
        code = open_databases(documents, txn);
        if (code == MDB_SUCCESS)
            code = write_meta(documents, txn, &meta);
        return code == MDB_SUCCESS ? NULL : mdb_strerror(code);
    }
    if (code == MDB_SUCCESS)
        code = read_meta(documents, txn, &meta);
    if (code == MDB_NOTFOUND || code == MDB_INVALID)
        return "it is an LMDB environment of another program";
    if (code == MDB_SUCCESS && meta.format != FORMAT)
        return "it was written by a newer version of integration-service";
    if (code == MDB_SUCCESS)
        code = open_databases(documents, txn);
    return code == MDB_SUCCESS ? NULL : mdb_strerror(code);
}

/* Opens databases that are there already, without waiting for who changes them. */
static bool open_existing(struct documents *documents)
{
    MDB_txn *txn;
    struct documents_meta meta = {0};
    if (mdb_txn_begin(documents->env, NULL, MDB_RDONLY, &txn) != MDB_SUCCESS)
        return false;
    bool opened =
        mdb_dbi_open(txn, "meta", 0, &documents->meta) == MDB_SUCCESS &&
        mdb_dbi_open(txn, "ids", 0, &documents->ids) == MDB_SUCCESS &&
        mdb_dbi_open(txn, "documents", MDB_INTEGERKEY, &documents->documents) == MDB_SUCCESS &&
        read_meta(documents, txn, &meta) == MDB_SUCCESS && meta.format == FORMAT;
    if (opened)
        return mdb_txn_commit(txn) == MDB_SUCCESS; /* which keeps the handles */
    mdb_txn_abort(txn);
    return false;
}

static int take_turn(struct documents *documents)
{
    pthread_mutex_lock(&documents->turn);
    if (lock_wait(documents->turn_fd, 0))
        return MDB_SUCCESS;
    int reason = errno;
    pthread_mutex_unlock(&documents->turn);
    return reason;
}

static void give_turn(struct documents *documents)
{
    lock_release(documents->turn_fd, 0);
    pthread_mutex_unlock(&documents->turn);
}

/* Opens the databases in the open environment. NULL, or what is wrong. */
static const char *prepare(struct documents *documents)
{
    MDB_txn *txn;
    if (open_existing(documents))
        return NULL;
    int code = take_turn(documents);
    if (code != MDB_SUCCESS)
        return mdb_strerror(code);
    const char *wrong = NULL;
    code = mdb_txn_begin(documents->env, NULL, 0, &txn);
    if (code == MDB_SUCCESS) {
        wrong = check_format(documents, txn);
        if (wrong != NULL)
            mdb_txn_abort(txn);
        else
            code = mdb_txn_commit(txn);
    }
    give_turn(documents);
    return code == MDB_SUCCESS ? wrong : mdb_strerror(code);
}

static const char *open_environment(struct documents *documents, const char *path,
                                    const struct documents_options *options)
{
    int dead = 0;
    int code = mdb_env_create(&documents->env);
    if (code != MDB_SUCCESS)
        return mdb_strerror(code);
    mdb_env_set_maxdbs(documents->env, DATABASES);
    mdb_env_set_maxreaders(documents->env, READERS_MAX);
    mdb_env_set_mapsize(documents->env, options->max_bytes);
    code = mdb_env_open(documents->env, path, MDB_NOTLS | (options->replica ? MDB_NOMETASYNC : 0),
                        0660);
    if (code == MDB_INVALID || code == MDB_VERSION_MISMATCH)
        return "data.mdb is not an LMDB file that this version can read";
    if (code != MDB_SUCCESS)
        return mdb_strerror(code);
    /* A reader that was killed would keep old pages from being used again. */
    mdb_reader_check(documents->env, &dead);
    return prepare(documents);
}

void documents_close(struct documents *documents)
{
    mdb_env_close(documents->env);
    if (documents->turn_fd >= 0)
        close(documents->turn_fd);
    pthread_mutex_destroy(&documents->turn);
}

static bool open_turn(struct documents *documents, const char *path)
{
    char turn[512];
    int length = snprintf(turn, sizeof turn, "%s/turn", path);
    errno = ENAMETOOLONG;
    if (length > 0 && (size_t)length < sizeof turn)
        documents->turn_fd = open(turn, O_RDWR | O_CREAT | O_CLOEXEC, 0660);
    return documents->turn_fd >= 0;
}

bool documents_open(struct documents *documents, const char *path,
                    const struct documents_options *options, char *error, size_t error_size)
{
    const char *wrong;
    *documents = (struct documents){.turn_fd = -1};
    pthread_mutex_init(&documents->turn, NULL);
    if ((mkdir(path, 0770) != 0 && errno != EEXIST) || !open_turn(documents, path))
        wrong = strerror(errno);
    else
        wrong = open_environment(documents, path, options);
    if (wrong == NULL)
        return true;
    snprintf(error, error_size, "cannot open the store in %s: %s", path, wrong);
    documents_close(documents);
    return false;
}

/* ---- reads ---- */

bool documents_reader_open(struct documents *documents, struct documents_reader *reader)
{
    reader->documents = documents;
    int code = mdb_txn_begin(documents->env, NULL, MDB_RDONLY, &reader->txn);
    if (code != MDB_SUCCESS) {
        (void)status_of(documents, code, "opening a session");
        return false;
    }
    mdb_txn_reset(reader->txn);
    return true;
}

void documents_reader_close(struct documents_reader *reader)
{
    mdb_txn_abort(reader->txn);
}

static struct store_record record_of(MDB_val key, MDB_val value)
{
    struct record head;
    struct store_record record;
    memcpy(&head, value.mv_data, sizeof head);
    memcpy(&record.sequence, key.mv_data, sizeof record.sequence);
    record.revision = head.revision;
    record.created_us = head.created_us;
    record.updated_us = head.updated_us;
    record.document =
        (struct str){(const char *)value.mv_data + sizeof head, value.mv_size - sizeof head};
    return record;
}

static int read_revision(struct documents_reader *reader, uint64_t *revision)
{
    struct documents_meta meta;
    int code = read_meta(reader->documents, reader->txn, &meta);
    if (code == MDB_SUCCESS)
        *revision = meta.revision;
    return code;
}

enum store_status documents_get(struct documents_reader *reader, struct store_read *read,
                                bool with_revision, struct str id, struct store_record *record,
                                struct buffer *out)
{
    struct documents *documents = reader->documents;
    MDB_val key = id_key(id);
    MDB_val sequence;
    MDB_val value;
    int code = mdb_txn_renew(reader->txn);
    if (code != MDB_SUCCESS)
        return status_of(documents, code, "reading");
    if (with_revision)
        code = read_revision(reader, &read->revision);
    if (code == MDB_SUCCESS)
        code = mdb_get(reader->txn, documents->ids, &key, &sequence);
    if (code == MDB_SUCCESS)
        code = mdb_get(reader->txn, documents->documents, &sequence, &value);
    if (code == MDB_SUCCESS) {
        *record = record_of(sequence, value);
        if (record->revision != read->known)
            buffer_append_str(out, record->document);
        record->document = (struct str){NULL, 0}; /* it is gone with the transaction */
    }
    mdb_txn_reset(reader->txn);
    return status_of(documents, code, "reading");
}

/* Shows all documents behind read->after. */
static int visit_all(struct documents_reader *reader, const struct store_read *read,
                     store_visit *visit, void *context)
{
    MDB_cursor *cursor;
    uint64_t first = read->after + 1;
    MDB_val key = value_of(&first, sizeof first);
    MDB_val value;
    int code = mdb_cursor_open(reader->txn, reader->documents->documents, &cursor);
    if (code != MDB_SUCCESS)
        return code;
    code = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    while (code == MDB_SUCCESS) {
        struct store_record record = record_of(key, value);
        if (!visit(context, &record))
            break;
        code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND ? MDB_SUCCESS : code;
}

static int compare_sequences(const void *a, const void *b)
{
    uint64_t one = *(const uint64_t *)a;
    uint64_t other = *(const uint64_t *)b;
    return one < other ? -1 : one > other;
}

/* Shows the documents of some ids, each once. */
static int visit_some(struct documents_reader *reader, const struct store_read *read,
                      store_visit *visit, void *context)
{
    uint64_t sequences[STORE_IDS_MAX] = {0};
    size_t len = 0;
    MDB_val key;
    MDB_val value;
    int code = MDB_SUCCESS;
    for (size_t i = 0; i < read->ids_len && code == MDB_SUCCESS; i++) {
        key = id_key(read->ids[i]);
        code = mdb_get(reader->txn, reader->documents->ids, &key, &value);
        if (code == MDB_SUCCESS)
            memcpy(&sequences[len++], value.mv_data, sizeof sequences[0]);
        else if (code == MDB_NOTFOUND)
            code = MDB_SUCCESS;
    }
    qsort(sequences, len, sizeof sequences[0], compare_sequences);
    uint64_t last = read->after;
    bool more = true;
    for (size_t i = 0; i < len && more && code == MDB_SUCCESS; i++) {
        if (sequences[i] <= last)
            continue;
        last = sequences[i];
        key = value_of(&last, sizeof last);
        code = mdb_get(reader->txn, reader->documents->documents, &key, &value);
        if (code == MDB_SUCCESS) {
            struct store_record record = record_of(key, value);
            more = visit(context, &record);
        }
    }
    return code;
}

enum store_status documents_each(struct documents_reader *reader, struct store_read *read,
                                 store_visit *visit, void *context)
{
    struct documents *documents = reader->documents;
    int code = mdb_txn_renew(reader->txn);
    if (code != MDB_SUCCESS)
        return status_of(documents, code, "listing");
    code = read_revision(reader, &read->revision);
    if (code == MDB_SUCCESS && (read->known == 0 || read->revision != read->known))
        code = read->ids_len > 0 ? visit_some(reader, read, visit, context)
                                 : visit_all(reader, read, visit, context);
    mdb_txn_reset(reader->txn);
    return status_of(documents, code, "listing");
}

enum store_status documents_stats(struct documents_reader *reader, struct store_stats *stats)
{
    struct documents *documents = reader->documents;
    struct documents_meta meta;
    MDB_stat pages;
    MDB_envinfo info;
    int code = mdb_txn_renew(reader->txn);
    if (code != MDB_SUCCESS)
        return status_of(documents, code, "reading the revision");
    code = read_meta(documents, reader->txn, &meta);
    if (code == MDB_SUCCESS)
        code = mdb_stat(reader->txn, documents->documents, &pages);
    mdb_txn_reset(reader->txn);
    if (code != MDB_SUCCESS)
        return status_of(documents, code, "reading the revision");
    mdb_env_info(documents->env, &info);
    *stats = (struct store_stats){.revision = meta.revision,
                                  .integrations = pages.ms_entries,
                                  .used_bytes = (info.me_last_pgno + 1) * pages.ms_psize,
                                  .max_bytes = info.me_mapsize,
                                  .readers = info.me_numreaders};
    return STORE_OK;
}

static int read_mark(struct documents *documents, MDB_txn *txn, struct documents_mark *mark)
{
    struct documents_meta meta = {0};
    MDB_val key = tag_key();
    MDB_val value;
    int code = mdb_get(txn, documents->meta, &key, &value);
    if (code == MDB_SUCCESS && value.mv_size != sizeof mark->tag)
        return MDB_INVALID;
    if (code == MDB_SUCCESS) {
        memcpy(&mark->tag, value.mv_data, sizeof mark->tag);
        code = read_meta(documents, txn, &meta);
    }
    if (code == MDB_SUCCESS)
        mark->revision = meta.revision;
    return code;
}

enum store_status documents_get_mark(struct documents_reader *reader, struct documents_mark *mark)
{
    int code = mdb_txn_renew(reader->txn);
    if (code == MDB_SUCCESS) {
        code = read_mark(reader->documents, reader->txn, mark);
        mdb_txn_reset(reader->txn);
    }
    return status_of(reader->documents, code, "reading where the replica stands");
}

/* ---- changes ---- */

enum store_status documents_begin(struct documents *documents, struct documents_change *change)
{
    change->documents = documents;
    int code = take_turn(documents);
    if (code != MDB_SUCCESS)
        return status_of(documents, code, "taking the writer's turn");
    code = mdb_txn_begin(documents->env, NULL, 0, &change->txn);
    if (code == MDB_SUCCESS) {
        code = read_meta(documents, change->txn, &change->meta);
        if (code != MDB_SUCCESS)
            mdb_txn_abort(change->txn);
    }
    if (code != MDB_SUCCESS)
        give_turn(documents);
    return status_of(documents, code, "beginning a change");
}

void documents_cancel(struct documents_change *change)
{
    mdb_txn_abort(change->txn);
    give_turn(change->documents);
}

enum store_status documents_end(struct documents_change *change, enum store_status status)
{
    struct documents *documents = change->documents;
    if (status == STORE_OK)
        status = status_of(documents, write_meta(documents, change->txn, &change->meta),
                           "writing the revision");
    if (status != STORE_OK) {
        documents_cancel(change);
        return status;
    }
    int code = mdb_txn_commit(change->txn);
    give_turn(documents);
    return status_of(documents, code, "committing");
}

enum store_status documents_find(struct documents_change *change, struct str id,
                                 struct store_record *record)
{
    struct documents *documents = change->documents;
    MDB_val key = id_key(id);
    MDB_val sequence;
    MDB_val value;
    int code = mdb_get(change->txn, documents->ids, &key, &sequence);
    if (code == MDB_SUCCESS)
        code = mdb_get(change->txn, documents->documents, &sequence, &value);
    if (code == MDB_SUCCESS)
        *record = record_of(sequence, value);
    return status_of(documents, code, "looking for an id");
}

static int put_document(struct documents_change *change, const struct store_record *record)
{
    struct record head = {record->revision, record->created_us, record->updated_us};
    MDB_val key = value_of(&record->sequence, sizeof record->sequence);
    MDB_val value = {.mv_size = sizeof head + record->document.len};
    int code = mdb_put(change->txn, change->documents->documents, &key, &value, MDB_RESERVE);
    if (code == MDB_SUCCESS) {
        memcpy(value.mv_data, &head, sizeof head);
        memcpy((char *)value.mv_data + sizeof head, record->document.data, record->document.len);
    }
    return code;
}

enum store_status documents_put(struct documents_change *change, struct str id,
                                const struct store_record *record)
{
    MDB_val key = id_key(id);
    MDB_val sequence = value_of(&record->sequence, sizeof record->sequence);
    int code = mdb_put(change->txn, change->documents->ids, &key, &sequence, MDB_NOOVERWRITE);
    if (code == MDB_SUCCESS || code == MDB_KEYEXIST)
        code = put_document(change, record);
    return status_of(change->documents, code, "writing");
}

enum store_status documents_remove(struct documents_change *change, struct str id,
                                   uint64_t sequence)
{
    MDB_val key = id_key(id);
    MDB_val place = value_of(&sequence, sizeof sequence);
    int code = mdb_del(change->txn, change->documents->ids, &key, NULL);
    if (code == MDB_SUCCESS)
        code = mdb_del(change->txn, change->documents->documents, &place, NULL);
    return status_of(change->documents, code, "removing");
}

enum store_status documents_clear(struct documents_change *change)
{
    int code = mdb_drop(change->txn, change->documents->ids, 0);
    if (code == MDB_SUCCESS)
        code = mdb_drop(change->txn, change->documents->documents, 0);
    return status_of(change->documents, code, "clearing the replica");
}

enum store_status documents_find_mark(struct documents_change *change, struct documents_mark *mark)
{
    return status_of(change->documents, read_mark(change->documents, change->txn, mark),
                     "reading where the replica stands");
}

enum store_status documents_set_mark(struct documents_change *change,
                                     const struct documents_mark *mark)
{
    MDB_val key = tag_key();
    MDB_val value = value_of(&mark->tag, sizeof mark->tag);
    change->meta.revision = mark->revision;
    return status_of(change->documents,
                     mdb_put(change->txn, change->documents->meta, &key, &value, 0),
                     "writing where the replica stands");
}
