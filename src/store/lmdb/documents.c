/* SPDX-License-Identifier: MIT */
#include "store/lmdb/documents.h"

#include <stdlib.h>

#include "core/log.h"
#include "store/lmdb/file.h"
#include "store/lmdb/readers.h"
#include "store/lmdb/sums.h"

/* Besides LMDB's error codes: a document is not what was written. */
enum { DAMAGED = -1 };

bool documents_reader_open(struct environment *environment, struct documents_reader *reader)
{
    reader->environment = environment;
    int code = environment_open_reader(environment, &reader->txn);
    return environment_status(environment, code, "opening a session") == STORE_OK;
}

void documents_reader_close(struct documents_reader *reader)
{
    mdb_txn_abort(reader->txn);
}

/* Says that a document is damaged, once in a while. Of a replica the whole is then wrong. */
static int report_damage(const struct environment *environment, uint64_t sequence)
{
    static _Atomic uint64_t said_ns;
    if (log_is_due(&said_ns))
        LOG(LOG_CRITICAL, "a stored integration is damaged: restore a backup, and look at the disk",
            LOG_NUMBER("sequence", (int64_t)sequence));
    return environment->replica ? MDB_CORRUPTED : DAMAGED;
}

int documents_read(const struct environment *environment, MDB_txn *txn,
                   const struct environment_set *set, MDB_val key, MDB_val value,
                   struct store_record *record)
{
    struct documents_head head;
    uint64_t sequence = 0;
    if (key.mv_size == sizeof sequence)
        memcpy(&sequence, key.mv_data, sizeof sequence);
    if (value.mv_size < sizeof head || !sums_agree(environment, txn, set, sequence, value))
        return report_damage(environment, sequence);
    memcpy(&head, value.mv_data, sizeof head);
    *record = (struct store_record){
        .sequence = sequence,
        .revision = head.revision,
        .created_us = head.created_us,
        .updated_us = head.updated_us,
        .document = {(const char *)value.mv_data + sizeof head, value.mv_size - sizeof head}};
    return MDB_SUCCESS;
}

int documents_look(const struct environment *environment, MDB_txn *txn,
                   const struct environment_set *set, struct str id, struct store_record *record)
{
    MDB_val key = documents_key(id);
    MDB_val sequence;
    MDB_val value;
    int code = mdb_get(txn, set->ids, &key, &sequence);
    if (code != MDB_SUCCESS)
        return code;
    code = mdb_get(txn, set->documents, &sequence, &value);
    if (code == MDB_NOTFOUND)
        return report_damage(environment, 0);
    return code == MDB_SUCCESS ? documents_read(environment, txn, set, sequence, value, record)
                               : code;
}

enum store_status documents_status(const struct environment *environment, int code,
                                   const char *doing)
{
    return code == DAMAGED ? STORE_DAMAGED : environment_status(environment, code, doing);
}

/* Reads the version of the store, and where its documents are. */
static int read_version(struct documents_reader *reader, struct store_version *version,
                        const struct environment_set **set)
{
    struct environment_meta meta = {0};
    int code = environment_read_meta(reader->environment, reader->txn, &meta);
    if (code == MDB_SUCCESS)
        code = environment_read_version(reader->environment, reader->txn, &meta, version);
    *set = environment_content(reader->environment, &meta);
    return code;
}

enum store_status documents_get(struct documents_reader *reader, struct store_read *read,
                                struct str id, struct store_record *record, struct buffer *out)
{
    struct environment *environment = reader->environment;
    struct environment_meta meta = {0};
    int code = environment_begin_read(environment, reader->txn);
    if (code != MDB_SUCCESS)
        return environment_status(environment, code, "reading");
    if (environment->replica) {
        code = environment_read_meta(environment, reader->txn, &meta);
        read->version.revision = meta.revision;
    }
    if (code == MDB_SUCCESS)
        code = documents_look(environment, reader->txn, environment_content(environment, &meta), id,
                              record);
    if (code == MDB_SUCCESS) {
        if (!store_version_equal(store_record_version(record), read->known))
            buffer_append_str(out, record->document);
        record->document = (struct str){NULL, 0}; /* not valid after the transaction */
    }
    environment_end_read(environment, reader->txn);
    return documents_status(environment, code, "reading");
}

/* Visits all documents after read->after. */
static int visit_all(struct documents_reader *reader, const struct environment_set *set,
                     const struct store_read *read, store_visit *visit, void *context)
{
    MDB_cursor *cursor;
    uint64_t first = read->after + 1;
    MDB_val key = environment_value(&first, sizeof first);
    MDB_val value;
    int code = mdb_cursor_open(reader->txn, set->documents, &cursor);
    if (code != MDB_SUCCESS)
        return code;
    code = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    while (code == MDB_SUCCESS) {
        struct store_record record;
        code = documents_read(reader->environment, reader->txn, set, key, value, &record);
        if (code != MDB_SUCCESS || !visit(context, &record))
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

/* Visits the documents named by read->ids, each one once. */
static int visit_some(struct documents_reader *reader, const struct environment_set *set,
                      const struct store_read *read, store_visit *visit, void *context)
{
    uint64_t sequences[STORE_IDS_MAX] = {0};
    size_t len = 0;
    MDB_val key;
    MDB_val value;
    int code = MDB_SUCCESS;
    for (size_t i = 0; i < read->ids_len && code == MDB_SUCCESS; i++) {
        key = documents_key(read->ids[i]);
        code = mdb_get(reader->txn, set->ids, &key, &value);
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
        key = environment_value(&last, sizeof last);
        code = mdb_get(reader->txn, set->documents, &key, &value);
        struct store_record record;
        if (code == MDB_SUCCESS)
            code = documents_read(reader->environment, reader->txn, set, key, value, &record);
        if (code == MDB_SUCCESS)
            more = visit(context, &record);
    }
    return code;
}

enum store_status documents_each(struct documents_reader *reader, struct store_read *read,
                                 store_visit *visit, void *context)
{
    struct environment *environment = reader->environment;
    const struct environment_set *set;
    int code = environment_begin_read(environment, reader->txn);
    if (code != MDB_SUCCESS)
        return environment_status(environment, code, "listing");
    code = read_version(reader, &read->version, &set);
    if (code == MDB_SUCCESS && !store_version_equal(read->version, read->known))
        code = read->ids_len > 0 ? visit_some(reader, set, read, visit, context)
                                 : visit_all(reader, set, read, visit, context);
    environment_end_read(environment, reader->txn);
    return documents_status(environment, code, "listing");
}

enum store_status documents_stats(struct documents_reader *reader, struct store_stats *stats)
{
    struct environment *environment = reader->environment;
    struct environment_meta meta;
    MDB_stat pages;
    MDB_envinfo info;
    if (!environment_is_whole(environment, false))
        return STORE_BROKEN;
    int code = environment_begin_read(environment, reader->txn);
    if (code != MDB_SUCCESS)
        return environment_status(environment, code, "reading the revision");
    bool overwritten = file_was_overwritten(environment, reader->txn, false);
    code = environment_read_meta(environment, reader->txn, &meta);
    if (code == MDB_SUCCESS)
        code = mdb_stat(reader->txn, environment_content(environment, &meta)->documents, &pages);
    environment_end_read(environment, reader->txn);
    if (overwritten)
        return STORE_BROKEN;
    if (code != MDB_SUCCESS)
        return environment_status(environment, code, "reading the revision");
    mdb_env_info(environment->env, &info);
    readers_check(environment);
    *stats = (struct store_stats){.revision = meta.revision,
                                  .integrations = pages.ms_entries,
                                  .used_bytes = (info.me_last_pgno + 1) * pages.ms_psize,
                                  .max_bytes = info.me_mapsize,
                                  .readers = info.me_numreaders,
                                  .oldest_reader_ms = readers_oldest_ms(environment)};
    return STORE_OK;
}

enum store_status documents_get_version(struct documents_reader *reader,
                                        struct store_version *version)
{
    const struct environment_set *set;
    int code = environment_begin_read(reader->environment, reader->txn);
    if (code == MDB_SUCCESS) {
        code = read_version(reader, version, &set);
        environment_end_read(reader->environment, reader->txn);
    }
    return environment_status(reader->environment, code, "reading the version of the store");
}

enum store_status documents_get_masks(struct documents_reader *reader,
                                      uint8_t key[STORE_MASK_KEY_LEN])
{
    int code = environment_begin_read(reader->environment, reader->txn);
    if (code == MDB_SUCCESS) {
        code = environment_read_masks(reader->environment, reader->txn, key);
        environment_end_read(reader->environment, reader->txn);
    }
    return environment_status(reader->environment, code, "reading the key of masks");
}
