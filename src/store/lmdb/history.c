/* SPDX-License-Identifier: MIT */
#include "store/lmdb/history.h"

#include <errno.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/clock.h"
#include "core/log.h"

/* Entries that one change removes at most, for each that it adds: more than one, so that the log
 * shrinks when less is to be kept. */
enum { REMOVED_AT_ONCE = 8, PART_OF_STORE = 4 };

/* In front of the texts of an entry: id, actor, request id, members, document. */
struct head {
    uint64_t sum; /* of all that follows, seeded with the revision */
    uint64_t at_us;
    uint64_t sequence;
    uint64_t before_revision;
    uint64_t before_created_us;
    uint64_t before_updated_us;
    uint32_t operation;
    uint32_t id_len;
    uint32_t actor_len;
    uint32_t request_id_len;
    uint32_t members_len;
    uint32_t document_len; /* 0: there was none, or it is not kept */
};

static uint64_t sum_of(const void *entry, size_t size, uint64_t revision)
{
    return XXH3_64bits_withSeed((const char *)entry + sizeof(uint64_t), size - sizeof(uint64_t),
                                revision);
}

/* ---- the form of an entry ---- */

static void compose(const struct store_entry *entry, struct buffer *out)
{
    struct head head = {.at_us = entry->at_us,
                        .sequence = entry->before.sequence,
                        .before_revision = entry->before.revision,
                        .before_created_us = entry->before.created_us,
                        .before_updated_us = entry->before.updated_us,
                        .operation = entry->operation,
                        .id_len = (uint32_t)entry->id.len,
                        .actor_len = (uint32_t)entry->author.actor.len,
                        .request_id_len = (uint32_t)entry->author.request_id.len,
                        .members_len = (uint32_t)entry->members.len,
                        .document_len = (uint32_t)entry->before.document.len};
    buffer_reset(out, SIZE_MAX);
    buffer_append(out, &head, sizeof head);
    buffer_append_str(out, entry->id);
    buffer_append_str(out, entry->author.actor);
    buffer_append_str(out, entry->author.request_id);
    buffer_append_str(out, entry->members);
    buffer_append_str(out, entry->before.document);
    if (out->failed)
        return;
    head.sum = sum_of(out->data, out->len, entry->revision);
    memcpy(out->data, &head.sum, sizeof head.sum);
}

static struct str take(const char **at, size_t len)
{
    struct str text = {*at, len};
    *at += len;
    return text;
}

/* Reads what compose wrote; returns false, logged, if it is not that. */
static bool read_entry(MDB_val key, MDB_val value, struct store_entry *entry)
{
    struct head head;
    uint64_t revision = 0;
    bool whole = key.mv_size == sizeof revision && value.mv_size >= sizeof head;
    if (whole) {
        memcpy(&revision, key.mv_data, sizeof revision);
        memcpy(&head, value.mv_data, sizeof head);
        whole = value.mv_size == sizeof head + (uint64_t)head.id_len + head.actor_len +
                                     head.request_id_len + head.members_len + head.document_len &&
                head.sum == sum_of(value.mv_data, value.mv_size, revision);
    }
    if (!whole) {
        LOG(LOG_CRITICAL, "an entry of the log of changes is damaged: look at the disk",
            LOG_NUMBER("revision", (int64_t)revision));
        return false;
    }
    const char *at = (const char *)value.mv_data + sizeof head;
    *entry = (struct store_entry){.revision = revision,
                                  .at_us = head.at_us,
                                  .operation = (enum store_operation)head.operation,
                                  .before = {.sequence = head.sequence,
                                             .revision = head.before_revision,
                                             .created_us = head.before_created_us,
                                             .updated_us = head.before_updated_us}};
    entry->id = take(&at, head.id_len);
    entry->author.actor = take(&at, head.actor_len);
    entry->author.request_id = take(&at, head.request_id_len);
    entry->members = take(&at, head.members_len);
    if (head.document_len > 0)
        entry->before.document = take(&at, head.document_len);
    return true;
}

/* ---- writing ---- */

static uint64_t oldest_us(const struct environment *environment, uint64_t now_us)
{
    uint64_t kept_us = environment->keeping.days * 24 * 60 * US_PER_MINUTE;
    return now_us > kept_us ? now_us - kept_us : 0;
}

/* Removes the document of an entry. */
static int strip(struct documents_change *change, uint64_t revision, struct buffer *scratch)
{
    struct store_entry entry;
    MDB_val key = environment_value(&revision, sizeof revision);
    MDB_val value;
    int code = mdb_get(change->txn, change->environment->changes, &key, &value);
    if (code != MDB_SUCCESS || !read_entry(key, value, &entry) ||
        entry.before.document.data == NULL)
        return code == MDB_NOTFOUND ? MDB_SUCCESS : code;
    entry.before.document = (struct str){NULL, 0};
    compose(&entry, scratch);
    value = environment_value(scratch->data, scratch->len);
    return scratch->failed ? ENOMEM
                           : mdb_put(change->txn, change->environment->changes, &key, &value, 0);
}

/* Lets go of versions of an integration that are too many. */
static int forget_versions(struct documents_change *change, struct str id, struct buffer *scratch)
{
    MDB_cursor *cursor;
    MDB_val key = environment_value(id.data, id.len);
    MDB_val value = {0};
    size_t count = 0;
    uint64_t kept = change->environment->keeping.versions + 1;
    uint64_t revision = 0;
    int code = mdb_cursor_open(change->txn, change->environment->history, &cursor);
    if (code != MDB_SUCCESS)
        return code;
    code = mdb_cursor_get(cursor, &key, &value, MDB_SET_KEY);
    if (code == MDB_SUCCESS)
        code = mdb_cursor_count(cursor, &count);
    for (int i = 0; i < REMOVED_AT_ONCE && count >= kept && code == MDB_SUCCESS; i++) {
        memcpy(&revision, value.mv_data, sizeof revision);
        code = strip(change, revision, scratch);
        if (code != MDB_SUCCESS || count == kept)
            break;
        code = mdb_cursor_del(cursor, 0);
        count--;
        key = environment_value(id.data, id.len); /* for it was where something has moved */
        if (code == MDB_SUCCESS)
            code = mdb_cursor_get(cursor, &key, &value, MDB_SET_KEY);
    }
    mdb_cursor_close(cursor);
    return code;
}

static bool is_too_large(const struct documents_change *change)
{
    MDB_stat log;
    MDB_envinfo info;
    const struct environment *environment = change->environment;
    if (mdb_stat(change->txn, environment->changes, &log) != MDB_SUCCESS ||
        mdb_env_info(environment->env, &info) != MDB_SUCCESS)
        return false;
    size_t pages = log.ms_branch_pages + log.ms_leaf_pages + log.ms_overflow_pages;
    return pages * log.ms_psize > info.me_mapsize / PART_OF_STORE;
}

/* Removes the oldest entry, if it is due. Sets *more if there may be more of them. */
static int remove_oldest(struct documents_change *change, MDB_cursor *cursor, uint64_t before_us,
                         bool *more)
{
    struct store_entry entry;
    MDB_val key;
    MDB_val value;
    *more = false;
    int code = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    if (code != MDB_SUCCESS)
        return code == MDB_NOTFOUND ? MDB_SUCCESS : code;
    if (read_entry(key, value, &entry)) {
        if (entry.at_us >= before_us && !is_too_large(change))
            return MDB_SUCCESS;
        MDB_val id = environment_value(entry.id.data, entry.id.len);
        MDB_val revision = environment_value(&entry.revision, sizeof entry.revision);
        code = mdb_del(change->txn, change->environment->history, &id, &revision);
        if (code == MDB_NOTFOUND)
            code = MDB_SUCCESS;
    }
    *more = true;
    return code == MDB_SUCCESS ? mdb_cursor_del(cursor, 0) : code;
}

/* Removes entries that are too old, or that the log has become too large for. */
static int forget_entries(struct documents_change *change, uint64_t now_us)
{
    MDB_cursor *cursor;
    bool more = true;
    int code = mdb_cursor_open(change->txn, change->environment->changes, &cursor);
    if (code != MDB_SUCCESS)
        return code;
    for (int i = 0; i < REMOVED_AT_ONCE && more && code == MDB_SUCCESS; i++)
        code = remove_oldest(change, cursor, oldest_us(change->environment, now_us), &more);
    mdb_cursor_close(cursor);
    return code;
}

/* Writes the entry in `scratch`. */
static int put_entry(struct documents_change *change, const struct store_entry *entry,
                     const struct buffer *scratch)
{
    const struct environment *environment = change->environment;
    MDB_val key = environment_value(&entry->revision, sizeof entry->revision);
    MDB_val value = environment_value(scratch->data, scratch->len);
    int code = mdb_put(change->txn, environment->changes, &key, &value, MDB_APPEND);
    if (code == MDB_KEYEXIST) /* the last one has a revision that the store has not reached */
        code = mdb_put(change->txn, environment->changes, &key, &value, 0);
    if (code != MDB_SUCCESS)
        return code;
    MDB_val id = environment_value(entry->id.data, entry->id.len);
    value = key;
    return mdb_put(change->txn, environment->history, &id, &value, 0);
}

enum store_status history_add(struct documents_change *change, const struct store_entry *entry,
                              struct buffer *scratch)
{
    compose(entry, scratch);
    int code = scratch->failed ? ENOMEM : put_entry(change, entry, scratch);
    if (code == MDB_SUCCESS)
        code = forget_versions(change, entry->id, scratch);
    if (code == MDB_SUCCESS)
        code = forget_entries(change, entry->at_us);
    return environment_status(change->environment, code, "writing the log of changes");
}

enum store_status history_find_place(struct documents_change *change, struct str id,
                                     struct store_record *record)
{
    const struct environment *environment = change->environment;
    struct store_entry entry;
    MDB_cursor *cursor;
    MDB_val key = environment_value(id.data, id.len);
    MDB_val value;
    MDB_val sequence;
    int code = mdb_cursor_open(change->txn, environment->history, &cursor);
    if (code != MDB_SUCCESS)
        return environment_status(environment, code, "looking for a place");
    code = mdb_cursor_get(cursor, &key, &value, MDB_SET_KEY);
    if (code == MDB_SUCCESS)
        code = mdb_cursor_get(cursor, &key, &value, MDB_LAST_DUP);
    MDB_val revision = value;
    if (code == MDB_SUCCESS)
        code = mdb_get(change->txn, environment->changes, &revision, &value);
    mdb_cursor_close(cursor);
    if (code != MDB_SUCCESS || !read_entry(revision, value, &entry))
        return code == MDB_NOTFOUND || code == MDB_SUCCESS
                   ? STORE_NOT_FOUND
                   : environment_status(environment, code, "looking for a place");
    record->sequence = entry.before.sequence;
    record->created_us = entry.before.created_us;
    sequence = environment_value(&record->sequence, sizeof record->sequence);
    code = mdb_get(change->txn, change->set->documents, &sequence, &value);
    if (code == MDB_NOTFOUND)
        return STORE_OK;
    return code == MDB_SUCCESS ? STORE_NOT_FOUND
                               : environment_status(environment, code, "looking for a place");
}

/* ---- reading ---- */

/* A visit in progress. */
struct tour {
    struct documents_reader *reader;
    uint64_t before_us; /* entries of before are as if removed */
    store_visit_entry *visit;
    void *context;
};

/* Shows the entry of a revision. Returns MDB_NOTFOUND at the end. A damaged one is left out. */
static int show_entry(const struct tour *tour, MDB_val key)
{
    struct store_entry entry;
    MDB_val value;
    int code = mdb_get(tour->reader->txn, tour->reader->environment->changes, &key, &value);
    if (code == MDB_NOTFOUND)
        return MDB_SUCCESS;
    if (code != MDB_SUCCESS || !read_entry(key, value, &entry))
        return code;
    return entry.at_us >= tour->before_us && tour->visit(tour->context, &entry) ? MDB_SUCCESS
                                                                                : MDB_NOTFOUND;
}

/* Shows the document as it is. */
static int show_present(const struct tour *tour, struct str id)
{
    struct store_entry entry = {.id = id};
    const struct environment *environment = tour->reader->environment;
    int code =
        documents_look(environment, tour->reader->txn, &environment->sets[0], id, &entry.before);
    if (code == MDB_NOTFOUND)
        return MDB_SUCCESS;
    if (code != MDB_SUCCESS)
        return code;
    return tour->visit(tour->context, &entry) ? MDB_SUCCESS : MDB_NOTFOUND;
}

/* Goes to where the visit begins: at the change of *revision or the first one after that, or, if
 * there is none, before all changes. Then *revision is that of the first change to show. */
static int begin_at(const struct tour *tour, MDB_cursor *cursor, struct str id, MDB_val *revision)
{
    MDB_val key = environment_value(id.data, id.len);
    int code = mdb_cursor_get(cursor, &key, revision, MDB_GET_BOTH_RANGE);
    if (code != MDB_NOTFOUND)
        return code;
    code = show_present(tour, id);
    if (code == MDB_SUCCESS)
        code = mdb_cursor_get(cursor, &key, revision, MDB_SET_KEY);
    return code == MDB_SUCCESS ? mdb_cursor_get(cursor, &key, revision, MDB_LAST_DUP) : code;
}

static int visit_history(const struct tour *tour, struct str id, uint64_t from)
{
    MDB_cursor *cursor;
    MDB_val key;
    uint64_t first = from > 0 ? from : UINT64_MAX;
    MDB_val revision = environment_value(&first, sizeof first);
    int code = mdb_cursor_open(tour->reader->txn, tour->reader->environment->history, &cursor);
    if (code != MDB_SUCCESS)
        return code;
    code = begin_at(tour, cursor, id, &revision);
    while (code == MDB_SUCCESS) {
        code = show_entry(tour, revision);
        if (code == MDB_SUCCESS)
            code = mdb_cursor_get(cursor, &key, &revision, MDB_PREV_DUP);
    }
    mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND ? MDB_SUCCESS : code;
}

static int visit_log(const struct tour *tour, const struct store_read *read)
{
    MDB_cursor *cursor;
    MDB_val value;
    struct store_entry entry;
    uint64_t first = read->after + 1;
    uint64_t left = read->wanted > 0 ? read->wanted : UINT64_MAX;
    MDB_val key = environment_value(&first, sizeof first);
    int code = mdb_cursor_open(tour->reader->txn, tour->reader->environment->changes, &cursor);
    if (code != MDB_SUCCESS)
        return code;
    code = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    for (; code == MDB_SUCCESS && left > 0; code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) {
        if (!read_entry(key, value, &entry) || entry.at_us < tour->before_us)
            continue;
        entry.before.document = (struct str){NULL, 0};
        entry.tag = entry.at_us;
        left--;
        if (!tour->visit(tour->context, &entry))
            break;
    }
    mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND ? MDB_SUCCESS : code;
}

/* Finds the version that the store had at the revision read->after, and that which it has. */
static int read_versions(const struct tour *tour, struct store_read *read)
{
    const struct environment *environment = tour->reader->environment;
    MDB_txn *txn = tour->reader->txn;
    struct environment_meta meta = {0};
    struct store_entry entry;
    MDB_val key = environment_value(&read->after, sizeof read->after);
    MDB_val value;
    int code = environment_read_meta(environment, txn, &meta);
    if (code == MDB_SUCCESS)
        code = environment_read_version(environment, txn, &meta, &read->version);
    read->known = (struct store_version){.revision = read->after};
    if (code != MDB_SUCCESS)
        return code;
    if (read->after == read->version.revision)
        read->known = read->version;
    else if (read->after == 0)
        return environment_read_origin(environment, txn, &read->known);
    else if ((code = mdb_get(txn, environment->changes, &key, &value)) == MDB_SUCCESS &&
             read_entry(key, value, &entry))
        read->known.tag = entry.at_us;
    return code == MDB_NOTFOUND ? MDB_SUCCESS : code;
}

enum store_status history_of(struct documents_reader *reader, struct str id, uint64_t from,
                             store_visit_entry *visit, void *context)
{
    struct tour tour = {reader, oldest_us(reader->environment, clock_wall_us()), visit, context};
    int code = environment_begin_read(reader->environment, reader->txn);
    if (code == MDB_SUCCESS) {
        code = visit_history(&tour, id, from);
        environment_end_read(reader->environment, reader->txn);
    }
    return documents_status(reader->environment, code, "reading the log of changes");
}

enum store_status history_log(struct documents_reader *reader, struct store_read *read,
                              store_visit_entry *visit, void *context)
{
    struct tour tour = {reader, oldest_us(reader->environment, clock_wall_us()), visit, context};
    int code = environment_begin_read(reader->environment, reader->txn);
    if (code != MDB_SUCCESS)
        return environment_status(reader->environment, code, "reading the log of changes");
    code = read_versions(&tour, read);
    if (code == MDB_SUCCESS)
        code = visit_log(&tour, read);
    environment_end_read(reader->environment, reader->txn);
    return documents_status(reader->environment, code, "reading the log of changes");
}
