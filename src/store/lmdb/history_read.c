/* SPDX-License-Identifier: MIT
 *
 * Reading the log of changes. */
#include "base/clock.h"
#include "store/lmdb/entries.h"
#include "store/lmdb/history.h"

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
    if (code != MDB_SUCCESS || !entries_read(key, value, &entry))
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
        if (!entries_read(key, value, &entry) || entry.at_us < tour->before_us)
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

/* Reads the entry of a revision. Returns an LMDB error code. */
static int find_entry(const struct tour *tour, uint64_t revision, struct store_entry *entry)
{
    MDB_val key = environment_value(&revision, sizeof revision);
    MDB_val value;
    int code = mdb_get(tour->reader->txn, tour->reader->environment->changes, &key, &value);
    if (code == MDB_SUCCESS && !entries_read(key, value, entry))
        code = MDB_NOTFOUND;
    return code;
}

/* Finds the version that the store had at the revision read->after, and that which it has. */
static int read_versions(const struct tour *tour, struct store_read *read)
{
    const struct environment *environment = tour->reader->environment;
    struct environment_meta meta = {0};
    struct store_entry entry;
    int code = environment_read_meta(environment, tour->reader->txn, &meta);
    if (code == MDB_SUCCESS)
        code = environment_read_version(environment, tour->reader->txn, &meta, &read->version);
    read->known = (struct store_version){.revision = read->after};
    if (code != MDB_SUCCESS)
        return code;
    if (read->after == read->version.revision) {
        read->known = read->version;
        return MDB_SUCCESS;
    }
    code = find_entry(tour, read->after + 1, &entry);
    if (code == MDB_SUCCESS)
        read->known.tag = entry.previous_tag;
    return code == MDB_NOTFOUND ? MDB_SUCCESS : code;
}

enum store_status history_of(struct documents_reader *reader, struct str id, uint64_t from,
                             store_visit_entry *visit, void *context)
{
    struct tour tour = {reader, entries_oldest_us(reader->environment, clock_wall_us()), visit,
                        context};
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
    struct tour tour = {reader, entries_oldest_us(reader->environment, clock_wall_us()), visit,
                        context};
    int code = environment_begin_read(reader->environment, reader->txn);
    if (code != MDB_SUCCESS)
        return environment_status(reader->environment, code, "reading the log of changes");
    code = read_versions(&tour, read);
    if (code == MDB_SUCCESS)
        code = visit_log(&tour, read);
    environment_end_read(reader->environment, reader->txn);
    return documents_status(reader->environment, code, "reading the log of changes");
}
