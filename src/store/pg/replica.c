/* SPDX-License-Identifier: MIT */
#include "store/pg/replica.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "core/log.h"

/* How much is received before it is written. */
#define PIECE_BYTES (4 << 20)

/* More than this is not fetched to catch up, for it is kept in memory: it is copied, in pieces. */
#define CATCH_UP_BYTES "33554432"

/* The first row is the replica's own revision if the histories are the same. A row has no document
 * if a later change modified it again; the document then comes with that later row. There is no row
 * at all if it would be too much. */
static const struct pg_statement select_changes = {
    "integration_changes",
    "SELECT c.revision, c.tag, c.id, c.sequence, d.revision,"
    " (extract(epoch FROM d.created_at) * 1000000)::int8,"
    " (extract(epoch FROM d.updated_at) * 1000000)::int8,"
    " CASE WHEN d.revision = c.revision THEN"
    " integration_readable(d.id, d.revision, d.document) END"
    " FROM integration_changes c LEFT JOIN integration_documents d ON d.sequence = c.sequence"
    " WHERE c.revision >= $1 AND (SELECT coalesce(sum(octet_length(e.document::text)), 0)"
    " FROM integration_changes b JOIN integration_documents e"
    " ON e.sequence = b.sequence AND e.revision = b.revision WHERE b.revision > $1)"
    " <= " CATCH_UP_BYTES " ORDER BY c.revision"};
static const struct pg_statement select_mark = {"integration_mark",
                                                "SELECT revision, tag FROM integration_store"};
static const struct pg_statement select_documents = {
    "integration_documents",
    "SELECT s.revision, s.tag, d.id, d.sequence, d.revision,"
    " (extract(epoch FROM d.created_at) * 1000000)::int8,"
    " (extract(epoch FROM d.updated_at) * 1000000)::int8,"
    " integration_readable(d.id, d.revision, d.document)"
    " FROM integration_documents d, integration_store s ORDER BY d.sequence"};

static enum replica_status of_status(enum pg_status status)
{
    return status == PG_REFUSED ? REPLICA_REFUSED : REPLICA_LOST;
}

static enum replica_status of_store(enum store_status status)
{
    if (status == STORE_OK)
        return REPLICA_CURRENT;
    if (status == STORE_FULL)
        return REPLICA_FULL;
    return status == STORE_AWAY ? REPLICA_UNWRITTEN : REPLICA_BROKEN;
}

/* ---- masks ---- */

bool pg_replica_read_masks(struct str text, uint8_t key[STORE_MASK_KEY_LEN])
{
    static const char digits[] = "0123456789abcdef";
    if (text.len != (size_t)2 * STORE_MASK_KEY_LEN)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        const char *digit = memchr(digits, text.data[i], sizeof digits - 1);
        if (digit == NULL)
            return false;
        key[i / 2] = (uint8_t)(key[i / 2] << 4 | (digit - digits));
    }
    return true;
}

enum pg_status pg_replica_ask_masks(struct pg *pg, uint64_t deadline_ns,
                                    uint8_t key[STORE_MASK_KEY_LEN])
{
    static const struct pg_statement select_key = {
        "integration_masks", "SELECT encode(mask_key, 'hex') FROM integration_store"};
    PGresult *result;
    enum pg_status status = pg_query(pg, &select_key, NULL, 0, deadline_ns, &result);
    if (status != PG_OK)
        return status;
    bool read = PQntuples(result) == 1 && pg_replica_read_masks(pg_get_text(result, 0, 0), key);
    if (!read)
        log_message(LOG_ERROR,
                    "integration_store has no mask_key of 32 bytes: restore the database");
    PQclear(result);
    return read ? PG_OK : PG_REFUSED;
}

enum replica_status pg_replica_take_masks(struct pg *pg, struct documents_reader *reader,
                                          uint64_t deadline_ns)
{
    uint8_t key[STORE_MASK_KEY_LEN] = {0};
    uint8_t known[STORE_MASK_KEY_LEN];
    struct documents_change to;
    enum pg_status asked = pg_replica_ask_masks(pg, deadline_ns, key);
    if (asked != PG_OK)
        return of_status(asked);
    enum store_status status = documents_get_masks(reader, known);
    if (status == STORE_OK && memcmp(key, known, sizeof key) == 0)
        return REPLICA_CURRENT;
    if (status == STORE_OK || status == STORE_NOT_FOUND)
        status = documents_begin(reader->environment, deadline_ns, &to);
    if (status != STORE_OK)
        return of_store(status);
    return of_store(documents_end(&to, documents_set_masks(&to, key)));
}

/* ---- received rows ---- */

/* Header in front of the id and the document of a row. */
struct row {
    uint64_t revision;
    uint64_t tag;
    struct store_record record; /* document.data is unused */
    size_t id_len;
    bool has_document;
};

static void keep_row(struct buffer *rows, const PGresult *result)
{
    struct str id = pg_get_text(result, 0, 2);
    struct str document = pg_get_text(result, 0, 7);
    struct row row = {.revision = pg_get_number(result, 0, 0),
                      .tag = pg_get_number(result, 0, 1),
                      .record = {.sequence = pg_get_number(result, 0, 3),
                                 .revision = pg_get_number(result, 0, 4),
                                 .created_us = pg_get_number(result, 0, 5),
                                 .updated_us = pg_get_number(result, 0, 6),
                                 .document = {NULL, document.len}},
                      .id_len = id.len,
                      .has_document = document.data != NULL};
    buffer_append(rows, &row, sizeof row);
    buffer_append_str(rows, id);
    buffer_append_str(rows, document);
}

/* Extracts the next row from *rest; returns false at the end. Sets *superseded if the row has no
 * document, although it exists, because a later change modified it again. */
static bool next_row(struct str *rest, struct replica_change *change, bool *superseded)
{
    struct row row;
    if (rest->len == 0)
        return false;
    memcpy(&row, rest->data, sizeof row);
    const char *id = rest->data + sizeof row;
    *change = (struct replica_change){
        .revision = row.revision, .tag = row.tag, .id = {id, row.id_len}, .record = row.record};
    change->record.document.data = row.has_document ? id + row.id_len : NULL;
    *superseded = !row.has_document && row.record.revision != 0;
    size_t used = sizeof row + row.id_len + row.record.document.len;
    *rest = (struct str){rest->data + used, rest->len - used};
    return true;
}

/* Receives all rows of a statement that was sent: each within row_ms, and all before the deadline.
 */
static enum replica_status receive(struct pg *pg, struct buffer *rows, uint64_t row_ms,
                                   uint64_t deadline_ns)
{
    PGresult *result;
    enum pg_status status;
    while ((status = pg_next(pg, clock_within_ms(row_ms, deadline_ns), &result)) == PG_ROW) {
        keep_row(rows, result);
        PQclear(result);
    }
    if (status != PG_OK)
        return of_status(status);
    if (!rows->failed)
        return REPLICA_CURRENT;
    log_message(LOG_ERROR, "there is no memory for what the replica lacks");
    return REPLICA_UNWRITTEN;
}

/* ---- applying ---- */

/* Applies a change to its document. */
static enum store_status apply_to_document(struct documents_change *to,
                                           const struct replica_change *change)
{
    struct store_record old;
    enum store_status found = documents_find(to, change->id, &old);
    if (found != STORE_OK && found != STORE_NOT_FOUND)
        return found;
    bool removes = change->record.document.data == NULL;
    bool same = found == STORE_OK && old.sequence == change->record.sequence;
    if (found == STORE_OK && (same == removes)) {
        /* Remove the document, or an older one with the same id, whose removal comes in a later
         * row. */
        enum store_status removed = documents_remove(to, change->id, old.sequence);
        if (removed != STORE_OK)
            return removed;
    }
    return removes ? STORE_OK : documents_put(to, change->id, &change->record);
}

static enum replica_status end(struct documents_change *change, enum store_status status)
{
    return of_store(documents_end(change, status));
}

/* Advances *rest past the row that corresponds to the replica's mark. Returns false if there is
 * none, or its tag differs. */
static bool find_place(struct str *rest, const struct store_version *mark)
{
    struct replica_change change;
    bool superseded;
    while (next_row(rest, &change, &superseded))
        if (change.revision == mark->revision)
            return change.tag == mark->tag;
    return false;
}

/* Applies the rows after the replica's current revision, which other processes may have advanced
 * meanwhile. */
static enum replica_status apply_rows(struct environment *environment, struct str rows,
                                      uint64_t deadline_ns)
{
    struct documents_change to;
    struct store_version mark;
    struct replica_change change;
    bool superseded;
    enum store_status status = documents_begin(environment, deadline_ns, &to);
    if (status != STORE_OK)
        return of_store(status);
    if (!find_place(&rows, &to.before) || rows.len == 0) {
        documents_cancel(&to);
        return REPLICA_BEHIND;
    }
    mark = to.before;
    while (status == STORE_OK && next_row(&rows, &change, &superseded)) {
        mark = (struct store_version){change.revision, change.tag};
        if (!superseded)
            status = apply_to_document(&to, &change);
    }
    if (status == STORE_OK)
        status = documents_set_version(&to, &mark);
    return end(&to, status);
}

/* Queries the changes from `mark` on; the first row is `mark` itself if the histories are the
 * same. */
static enum replica_status ask(struct pg *pg, const struct store_version *mark, struct buffer *rows,
                               uint64_t row_ms, uint64_t deadline_ns)
{
    struct pg_value revision;
    pg_set_number(&revision, mark->revision);
    enum pg_status sent =
        pg_send(pg, &select_changes, &revision, 1, clock_within_ms(row_ms, deadline_ns));
    return sent == PG_OK ? receive(pg, rows, row_ms, deadline_ns) : of_status(sent);
}

static enum replica_status catch_up_once(struct pg *pg, struct documents_reader *reader,
                                         uint64_t row_ms, uint64_t deadline_ns)
{
    struct store_version mark;
    struct buffer rows = {0};
    enum store_status known = documents_get_version(reader, &mark);
    if (known != STORE_OK)
        return known == STORE_NOT_FOUND ? REPLICA_DIVERGED : of_store(known);
    enum replica_status status = ask(pg, &mark, &rows, row_ms, deadline_ns);
    struct str rest = buffer_str(&rows);
    if (status == REPLICA_CURRENT && !find_place(&rest, &mark))
        status = REPLICA_DIVERGED;
    else if (status == REPLICA_CURRENT && rest.len > 0)
        status = apply_rows(reader->environment, buffer_str(&rows),
                            clock_within_ms(row_ms, deadline_ns));
    buffer_release(&rows);
    return status;
}

enum replica_status pg_replica_catch_up(struct pg *pg, struct documents_reader *reader,
                                        uint64_t row_ms, uint64_t deadline_ns)
{
    enum replica_status status;
    do { /* repeat if another process interfered */
        status = catch_up_once(pg, reader, row_ms, deadline_ns);
    } while (status == REPLICA_BEHIND);
    return status;
}

enum replica_status pg_replica_apply(struct documents_reader *reader,
                                     const struct replica_change *change, uint64_t deadline_ns)
{
    struct documents_change to;
    enum store_status begun = documents_begin(reader->environment, deadline_ns, &to);
    if (begun != STORE_OK)
        return of_store(begun);
    if (to.before.revision + 1 != change->revision || to.before.tag != change->previous_tag) {
        documents_cancel(&to);
        return REPLICA_BEHIND;
    }
    enum store_status status = apply_to_document(&to, change);
    if (status == STORE_OK)
        status = documents_set_version(&to, &(struct store_version){change->revision, change->tag});
    return end(&to, status);
}

/* ---- copying ---- */

static enum pg_status query_mark(struct pg *pg, uint64_t deadline_ns, struct store_version *mark)
{
    PGresult *result;
    enum pg_status status = pg_query(pg, &select_mark, NULL, 0, deadline_ns, &result);
    if (status != PG_OK)
        return status;
    bool there = PQntuples(result) == 1;
    if (there)
        *mark = (struct store_version){pg_get_number(result, 0, 0), pg_get_number(result, 0, 1)};
    else
        log_message(LOG_ERROR, "integration_store has no row: restore the database");
    PQclear(result);
    return there ? PG_OK : PG_REFUSED;
}

/* A copy on its way into the set that is not the replica's content. */
struct copying {
    struct pg *pg;
    struct environment *environment;
    uint64_t row_ms;             /* limit for each row, and for each turn to write */
    struct store_version before; /* of the replica, when it began */
    struct store_version mark;   /* of the database */
    struct buffer rows;          /* received, but not written yet */
};

/* Begins a change of the other set. */
static enum store_status begin_piece(const struct copying *copying, struct documents_change *to)
{
    enum store_status status =
        documents_begin(copying->environment, clock_after_ms(copying->row_ms), to);
    if (status == STORE_OK)
        documents_turn_over(to);
    return status;
}

/* Removes what is in the other set: the content before, or what a copy left that was ended. */
static enum replica_status clear_other(const struct copying *copying)
{
    struct documents_change to;
    enum store_status status = begin_piece(copying, &to);
    return status == STORE_OK ? end(&to, documents_clear(&to)) : of_store(status);
}

/* Writes the rows that were received. */
static enum replica_status write_piece(struct copying *copying)
{
    struct documents_change to;
    struct replica_change change;
    bool superseded;
    struct str rest = buffer_str(&copying->rows);
    if (copying->rows.failed) {
        log_message(LOG_ERROR, "there is no memory to copy the database");
        return REPLICA_UNWRITTEN;
    }
    if (rest.len == 0)
        return REPLICA_CURRENT;
    enum store_status status = begin_piece(copying, &to);
    if (status != STORE_OK)
        return of_store(status);
    while (status == STORE_OK && next_row(&rest, &change, &superseded))
        status = documents_put(&to, change.id, &change.record);
    buffer_reset(&copying->rows, (size_t)2 * PIECE_BYTES);
    return end(&to, status);
}

/* Receives all documents of the statement that was sent, and writes them in pieces. */
static enum replica_status receive_pieces(struct copying *copying)
{
    PGresult *result;
    enum pg_status status;
    enum replica_status written = REPLICA_CURRENT;
    while ((status = pg_next(copying->pg, clock_after_ms(copying->row_ms), &result)) == PG_ROW) {
        if (written == REPLICA_CURRENT)
            keep_row(&copying->rows, result);
        PQclear(result);
        if (copying->rows.failed || copying->rows.len >= PIECE_BYTES)
            written = write_piece(copying);
    }
    if (status != PG_OK)
        return of_status(status);
    return written == REPLICA_CURRENT ? write_piece(copying) : written;
}

/* Writes all documents of the database, as of a single point in time, into the other set. */
static enum replica_status copy_documents(struct copying *copying)
{
    char sql[320];
    uint64_t row_ms = copying->row_ms;
    struct pg *pg = copying->pg;
    /* If this process hangs in the middle, it must not hold the tables for ever; but all may be on
     * its way for a while before it is read. */
    snprintf(sql, sizeof sql,
             "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = 0;"
             "SET LOCAL lock_timeout = %" PRIu64
             "; SET LOCAL idle_in_transaction_session_timeout = 60000"
             "; SET LOCAL tcp_user_timeout = 60000",
             row_ms);
    enum pg_status status = pg_run(pg, sql, clock_after_ms(row_ms));
    if (status == PG_OK)
        status = query_mark(pg, clock_after_ms(row_ms), &copying->mark);
    if (status == PG_OK)
        status = pg_send(pg, &select_documents, NULL, 0, clock_after_ms(row_ms));
    enum replica_status copied = status == PG_OK ? receive_pieces(copying) : of_status(status);
    if (copied == REPLICA_LOST)
        return copied;
    status = pg_run(pg, copied == REPLICA_CURRENT ? "COMMIT" : "ROLLBACK", clock_after_ms(row_ms));
    return status == PG_OK ? copied : of_status(status);
}

/* Whether the replica has moved on since `before`, up to the copy's mark or beyond. Then it is of
 * the database's history, for nobody else could have moved it, and has what the copy has. */
static bool is_overtaken(const struct store_version *now, const struct store_version *before,
                         const struct store_version *mark)
{
    return now->tag != 0 && !store_version_equal(*now, *before) && now->revision >= mark->revision;
}

/* Makes the other set, now whole, the content of the replica. */
static enum replica_status put_into_place(const struct copying *copying)
{
    struct documents_change to;
    enum store_status status = begin_piece(copying, &to);
    if (status != STORE_OK)
        return of_store(status);
    if (is_overtaken(&to.before, &copying->before, &copying->mark)) {
        documents_cancel(&to);
        return REPLICA_CURRENT;
    }
    return end(&to, documents_set_version(&to, &copying->mark));
}

enum replica_status pg_replica_copy(struct pg *pg, struct documents_reader *reader, uint64_t row_ms)
{
    struct copying copying = {.pg = pg, .environment = reader->environment, .row_ms = row_ms};
    (void)documents_get_version(reader, &copying.before); /* stays 0 if there is no replica yet */
    enum replica_status status = clear_other(&copying);
    if (status == REPLICA_CURRENT)
        status = copy_documents(&copying);
    if (status == REPLICA_CURRENT)
        status = put_into_place(&copying);
    buffer_release(&copying.rows);
    if (status != REPLICA_LOST && status != REPLICA_BROKEN &&
        clear_other(&copying) != REPLICA_CURRENT)
        log_message(LOG_WARNING,
                    "what an earlier copy of the database takes could not be freed yet");
    return status;
}
