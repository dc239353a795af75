/* SPDX-License-Identifier: MIT */
#include "store/pg_replica.h"

#include "base/clock.h"

/* Rows at a time: each may be a large document. */
#define ROWS 64
#define TEXT_OF(number) #number
#define TEXT(number) TEXT_OF(number)

#define NS_PER_MS 1000000ULL

/* The first row is the replica's own revision, if the histories are the same. A document is as it
 * is now: its later changes follow, and find that it has them already. */
static const struct pg_statement select_changes = {
    "integration_changes",
    "SELECT c.revision, c.tag, c.id, c.sequence, d.revision,"
    " (extract(epoch FROM d.created_at) * 1000000)::int8,"
    " (extract(epoch FROM d.updated_at) * 1000000)::int8, d.document"
    " FROM integration_changes c LEFT JOIN integration_documents d ON d.sequence = c.sequence"
    " WHERE c.revision >= $1 ORDER BY c.revision LIMIT " TEXT(ROWS)};
static const struct pg_statement select_mark = {"integration_mark",
                                                "SELECT revision, tag FROM integration_store"};
static const struct pg_statement select_documents = {
    "integration_documents",
    "SELECT id, sequence, revision, (extract(epoch FROM created_at) * 1000000)::int8,"
    " (extract(epoch FROM updated_at) * 1000000)::int8, document"
    " FROM integration_documents ORDER BY sequence"};

static enum replica_status of_status(enum pg_status status)
{
    return status == PG_REFUSED ? REPLICA_REFUSED : REPLICA_LOST;
}

/* Reads the columns sequence, revision, created, updated, document from `first` on. */
static struct store_record read_record(const PGresult *result, int row, int first)
{
    return (struct store_record){
        .sequence = pg_get_number(result, row, first),
        .revision = pg_get_number(result, row, first + 1),
        .created_us = pg_get_number(result, row, first + 2),
        .updated_us = pg_get_number(result, row, first + 3),
        .document = pg_get_text(result, row, first + 4),
    };
}

static struct replica_change read_change(const PGresult *result, int row)
{
    return (struct replica_change){
        .revision = pg_get_number(result, row, 0),
        .tag = pg_get_number(result, row, 1),
        .id = pg_get_text(result, row, 2),
        .record = read_record(result, row, 3),
    };
}

/* ---- applying ---- */

/* Applies one change to its document; one that is there already, or newer, stays. */
static enum store_status apply_to_document(struct documents_change *to,
                                           const struct replica_change *change)
{
    struct store_record old;
    enum store_status found = documents_find(to, change->id, &old);
    if (found != STORE_OK && found != STORE_NOT_FOUND)
        return found;
    bool same = found == STORE_OK && old.sequence == change->record.sequence;
    if (change->record.document.data == NULL)
        return same ? documents_remove(to, change->id, old.sequence) : STORE_OK;
    if (same && old.revision >= change->record.revision)
        return STORE_OK;
    if (found == STORE_OK && !same) {
        enum store_status removed = documents_remove(to, change->id, old.sequence);
        if (removed != STORE_OK)
            return removed;
    }
    return documents_put(to, change->id, &change->record);
}

static enum store_status apply(struct documents_change *to, const struct replica_change *change)
{
    enum store_status status = apply_to_document(to, change);
    struct documents_mark mark = {change->revision, change->tag};
    return status == STORE_OK ? documents_set_mark(to, &mark) : status;
}

static enum replica_status end(struct documents_change *change, enum store_status status)
{
    return documents_end(change, status) == STORE_OK ? REPLICA_CURRENT : REPLICA_UNWRITTEN;
}

/* The row that stands where the replica does; -1: none. */
static int find_place(const PGresult *rows, const struct documents_mark *mark)
{
    for (int row = 0; row < PQntuples(rows); row++)
        if (pg_get_number(rows, row, 0) == mark->revision)
            return pg_get_number(rows, row, 1) == mark->tag ? row : -1;
    return -1;
}

/* Applies the rows behind the replica's own revision, which others may have moved on meanwhile. */
static enum replica_status apply_rows(struct documents *documents, const PGresult *rows)
{
    struct documents_change to;
    struct documents_mark mark;
    if (documents_begin(documents, &to) != STORE_OK)
        return REPLICA_UNWRITTEN;
    enum store_status status = documents_find_mark(&to, &mark);
    int place = status == STORE_OK ? find_place(rows, &mark) : -1;
    if (place < 0 || place + 1 == PQntuples(rows)) {
        documents_cancel(&to);
        return place < 0 ? REPLICA_BEHIND : REPLICA_CURRENT;
    }
    for (int row = place + 1; row < PQntuples(rows) && status == STORE_OK; row++) {
        struct replica_change change = read_change(rows, row);
        status = apply(&to, &change);
    }
    return end(&to, status);
}

/* One round of catching up. *more: there may be more changes than one round takes. */
static enum replica_status catch_up_once(struct pg *pg, struct documents_reader *reader,
                                         uint64_t deadline_ns, bool *more)
{
    struct documents_mark mark;
    struct pg_value revision;
    PGresult *rows;
    enum store_status known = documents_get_mark(reader, &mark);
    *more = false;
    if (known != STORE_OK)
        return known == STORE_NOT_FOUND ? REPLICA_DIVERGED : REPLICA_UNWRITTEN;
    pg_set_number(&revision, mark.revision);
    enum pg_status asked = pg_query(pg, &select_changes, &revision, 1, deadline_ns, &rows);
    if (asked != PG_OK)
        return of_status(asked);
    enum replica_status status = REPLICA_DIVERGED;
    int len = PQntuples(rows);
    if (find_place(rows, &mark) == 0)
        status = len == 1 ? REPLICA_CURRENT : apply_rows(reader->documents, rows);
    PQclear(rows);
    *more = status == REPLICA_BEHIND || (status == REPLICA_CURRENT && len == ROWS);
    return status;
}

enum replica_status pg_replica_catch_up(struct pg *pg, struct documents_reader *reader,
                                        uint64_t deadline_ns)
{
    enum replica_status status;
    bool more;
    do {
        status = catch_up_once(pg, reader, deadline_ns, &more);
    } while (more);
    return status;
}

enum replica_status pg_replica_apply(struct documents_reader *reader,
                                     const struct replica_change *change)
{
    struct documents_change to;
    struct documents_mark mark;
    if (documents_begin(reader->documents, &to) != STORE_OK)
        return REPLICA_UNWRITTEN;
    if (documents_find_mark(&to, &mark) == STORE_OK && mark.revision + 1 == change->revision &&
        mark.tag == change->previous_tag)
        return end(&to, apply(&to, change));
    documents_cancel(&to);
    return REPLICA_BEHIND;
}

/* ---- copying ---- */

static uint64_t in_ms(uint64_t ms)
{
    return clock_steady_ns() + ms * NS_PER_MS;
}

static enum pg_status query_mark(struct pg *pg, uint64_t deadline_ns, struct documents_mark *mark)
{
    PGresult *result;
    enum pg_status status = pg_query(pg, &select_mark, NULL, 0, deadline_ns, &result);
    if (status != PG_OK)
        return status;
    *mark = (struct documents_mark){pg_get_number(result, 0, 0), pg_get_number(result, 0, 1)};
    PQclear(result);
    return PG_OK;
}

/* Puts all rows into `to`. */
static enum replica_status take_rows(struct pg *pg, struct documents_change *to, uint64_t row_ms)
{
    PGresult *result;
    enum pg_status status = pg_send(pg, &select_documents, NULL, 0, in_ms(row_ms));
    if (status != PG_OK)
        return of_status(status);
    while ((status = pg_next(pg, in_ms(row_ms), &result)) == PG_ROW) {
        struct store_record record = read_record(result, 0, 1);
        enum store_status put = documents_put(to, pg_get_text(result, 0, 0), &record);
        PQclear(result);
        if (put != STORE_OK)
            return REPLICA_UNWRITTEN; /* with rows still to come: the caller ends the connection */
    }
    return status == PG_OK ? REPLICA_CURRENT : of_status(status);
}

static enum replica_status copy_rows(struct pg *pg, struct documents *documents, uint64_t row_ms)
{
    struct documents_change to;
    struct documents_mark mark;
    enum pg_status marked = query_mark(pg, in_ms(row_ms), &mark);
    if (marked != PG_OK)
        return of_status(marked);
    if (documents_begin(documents, &to) != STORE_OK)
        return REPLICA_UNWRITTEN;
    enum replica_status status =
        documents_clear(&to) == STORE_OK ? take_rows(pg, &to, row_ms) : REPLICA_UNWRITTEN;
    if (status == REPLICA_CURRENT)
        return end(&to, documents_set_mark(&to, &mark));
    documents_cancel(&to);
    return status;
}

enum replica_status pg_replica_copy(struct pg *pg, struct documents_reader *reader, uint64_t row_ms)
{
    enum pg_status status =
        pg_run(pg, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", in_ms(row_ms));
    if (status != PG_OK)
        return of_status(status);
    enum replica_status copied = copy_rows(pg, reader->documents, row_ms);
    if (copied == REPLICA_LOST || copied == REPLICA_UNWRITTEN)
        return copied;
    status = pg_run(pg, "COMMIT", in_ms(row_ms));
    return status == PG_OK ? copied : of_status(status);
}
