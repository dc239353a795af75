/* SPDX-License-Identifier: MIT */
#include "store/lmdb/history.h"

#include <errno.h>

#include "core/log.h"
#include "store/lmdb/entries.h"

/* Entries that one change removes at most, for each that it adds: more than one, so that the log
 * shrinks when less is to be kept. */
enum { REMOVED_AT_ONCE = 8, REMOVED_FOR_ROOM = 64 };

/* The log takes one of so many parts of a store, and of as many the last is not for it. */
enum { PARTS = 4, PARTS_OF_RESERVE = 16 };

enum {
    LEAST_PAGE = 4096, /* bytes */
    FREE_PAGES = 0     /* LMDB's own database of them */
};

/* Removes the document of an entry. */
static int strip(struct documents_change *change, uint64_t revision, struct buffer *scratch)
{
    struct store_entry entry;
    MDB_val key = environment_value(&revision, sizeof revision);
    MDB_val value;
    int code = mdb_get(change->txn, change->environment->changes, &key, &value);
    if (code != MDB_SUCCESS || !entries_read(key, value, &entry) ||
        entry.before.document.data == NULL)
        return code == MDB_NOTFOUND ? MDB_SUCCESS : code;
    holdings_add(&change->added, entry.before.document, 0, -1);
    entry.before.document = (struct str){NULL, 0};
    entries_compose(&entry, scratch);
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
    return pages * log.ms_psize > info.me_mapsize / PARTS;
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
    if (entries_read(key, value, &entry)) {
        if (entry.revision == change->meta.revision ||
            (entry.at_us >= before_us && !is_too_large(change)))
            return MDB_SUCCESS;
        holdings_add(&change->added, entry.before.document, 0, -1);
        MDB_val id = environment_value(entry.id.data, entry.id.len);
        MDB_val revision = environment_value(&entry.revision, sizeof entry.revision);
        code = mdb_del(change->txn, change->environment->history, &id, &revision);
        if (code == MDB_NOTFOUND)
            code = MDB_SUCCESS;
    }
    *more = true;
    return code == MDB_SUCCESS ? mdb_cursor_del(cursor, 0) : code;
}

/* Removes at most so many entries made before that time, or which the log has become too large
 * for; the newest stays. */
static int remove_entries(struct documents_change *change, uint64_t before_us, int most)
{
    MDB_cursor *cursor;
    bool more = true;
    int code = mdb_cursor_open(change->txn, change->environment->changes, &cursor);
    if (code != MDB_SUCCESS)
        return code;
    for (int i = 0; i < most && more && code == MDB_SUCCESS; i++)
        code = remove_oldest(change, cursor, before_us, &more);
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
                              enum history_room room, struct buffer *scratch)
{
    entries_compose(entry, scratch);
    holdings_add(&change->added, entry->before.document, 0, 1);
    int code = scratch->failed ? ENOMEM : put_entry(change, entry, scratch);
    if (code == MDB_SUCCESS && room != HISTORY_NONE)
        code = forget_versions(change, entry->id, scratch);
    if (code == MDB_SUCCESS && room != HISTORY_NONE)
        code = remove_entries(change,
                              room == HISTORY_SCARCE
                                  ? UINT64_MAX
                                  : entries_oldest_us(change->environment, entry->at_us),
                              REMOVED_AT_ONCE);
    return environment_status(change->environment, code, "writing the log of changes");
}

enum store_status history_next(struct documents_change *change, uint64_t after,
                               struct store_entry *entry)
{
    MDB_val key;
    MDB_val value;
    bool whole = true;
    int code = environment_next(change->txn, change->environment->changes, after, &key, &value);
    if (code == MDB_SUCCESS) {
        whole = entries_read(key, value, entry);
        memcpy(&entry->revision, key.mv_data, sizeof entry->revision);
    }
    return whole ? environment_status(change->environment, code, "looking for the next")
                 : STORE_DAMAGED;
}

enum store_status history_rewrite(struct documents_change *change, const struct store_entry *entry,
                                  struct str before, struct buffer *scratch)
{
    MDB_val key = environment_value(&entry->revision, sizeof entry->revision);
    holdings_add(&change->added, before, 0, -1);
    holdings_add(&change->added, entry->before.document, 0, 1);
    entries_compose(entry, scratch);
    MDB_val value = environment_value(scratch->data, scratch->len);
    return environment_status(
        change->environment,
        scratch->failed ? ENOMEM
                        : mdb_put(change->txn, change->environment->changes, &key, &value, 0),
        "writing the log of changes");
}

/* Counts the pages that have been given back. */
static int count_free(MDB_txn *txn, size_t *pages)
{
    MDB_cursor *cursor;
    MDB_val key;
    MDB_val value;
    size_t count;
    int code = mdb_cursor_open(txn, FREE_PAGES, &cursor);
    if (code != MDB_SUCCESS)
        return code;
    while ((code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == MDB_SUCCESS) {
        memcpy(&count, value.mv_data, sizeof count); /* in front of a list of their numbers */
        *pages += count;
    }
    mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND ? MDB_SUCCESS : code;
}

/* Gets the number of pages at the end that have never been used, and of those that are not for the
 * log. */
static bool get_room(const struct environment *environment, size_t *pages, size_t *reserve)
{
    MDB_envinfo info;
    MDB_stat stat;
    if (mdb_env_info(environment->env, &info) != MDB_SUCCESS ||
        mdb_env_stat(environment->env, &stat) != MDB_SUCCESS)
        return false;
    *pages = info.me_mapsize / stat.ms_psize - info.me_last_pgno - 1;
    *reserve = info.me_mapsize / PARTS_OF_RESERVE / stat.ms_psize;
    return true;
}

bool history_has_little_room(const struct documents_reader *reader)
{
    size_t pages;
    size_t reserve;
    return get_room(reader->environment, &pages, &reserve) && pages <= reserve;
}

enum history_room history_room(struct documents_reader *reader, uint64_t needed_bytes)
{
    size_t pages;
    size_t reserve;
    if (!get_room(reader->environment, &pages, &reserve))
        return HISTORY_AMPLE;
    reserve += needed_bytes / LEAST_PAGE;
    if (pages > reserve)
        return HISTORY_AMPLE;
    if (environment_begin_read(reader->environment, reader->txn) == MDB_SUCCESS) {
        if (count_free(reader->txn, &pages) != MDB_SUCCESS)
            pages = 0;
        environment_end_read(reader->environment, reader->txn);
    }
    return pages > reserve ? HISTORY_AMPLE : HISTORY_SCARCE;
}

static int remove_some(struct documents_change *change)
{
    return remove_entries(change, UINT64_MAX, REMOVED_FOR_ROOM);
}

static int remove_all(struct documents_change *change)
{
    int read = holdings_read(change->environment, change->txn, change->set, &change->added);
    for (size_t i = 0; i < change->added.len; i++) {
        change->added.items[i].documents = 0;
        change->added.items[i].versions = -change->added.items[i].versions;
    }
    if (read != MDB_SUCCESS)
        return read;
    int code = mdb_drop(change->txn, change->environment->changes, 0);
    return code == MDB_SUCCESS ? mdb_drop(change->txn, change->environment->history, 0) : code;
}

/* Removes entries in one transaction, and commits another: LMDB uses a page again in the second one
 * after that which has freed it. */
static void let_go(struct environment *environment, uint64_t deadline_ns,
                   int (*remove)(struct documents_change *change))
{
    for (int i = 0; i < 2; i++) {
        struct documents_change change;
        if (documents_begin(environment, deadline_ns, &change) != STORE_OK)
            return;
        enum store_status status = environment_status(environment, remove(&change), "making room");
        if (documents_end(&change, status) != STORE_OK)
            return;
    }
}

void history_make_room(struct environment *environment, uint64_t deadline_ns)
{
    let_go(environment, deadline_ns, remove_some);
}

void history_drop(struct environment *environment, uint64_t deadline_ns)
{
    log_message(LOG_WARNING, "the store is full: the log of changes is given up for its room");
    let_go(environment, deadline_ns, remove_all);
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
    if (code != MDB_SUCCESS || !entries_read(revision, value, &entry))
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
