/* SPDX-License-Identifier: MIT */
#include "store/pg/change.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/random.h>

#include "base/clock.h"
#include "store/pg/sealing.h"

static const struct pg_statement make_changes = {
    "integration_change",
    "SELECT outcome, failed, created, the_revision, the_previous_tag, the_sequence, created_us,"
    " updated_us, found_revision, found_tag"
    " FROM integration_change($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"};
enum {
    COLUMN_OUTCOME,
    COLUMN_FAILED,
    COLUMN_CREATED,
    COLUMN_REVISION,
    COLUMN_PREVIOUS_TAG,
    COLUMN_SEQUENCE,
    COLUMN_CREATED_US,
    COLUMN_UPDATED_US,
    COLUMN_FOUND_REVISION,
    COLUMN_FOUND_TAG
};
static const struct pg_statement settle_change = {
    "integration_settle",
    "SELECT coalesce(the_revision, 0), coalesce(made_us, 0) FROM integration_settle($1)"};

enum {
    LEAST_MS = 50,  /* with less time for the server, a change is not begun */
    IDLE_MS = 60000 /* for who has no limit: to go on with the transaction */
};

/* Who waits until when, in steady time: the server gives a change up after server_ms (0: when it
 * likes), we at until_ns, and until the deadline it can be looked up what became of it. */
struct limits {
    uint64_t until_ns;
    uint64_t server_ms;
};

/* Returns false if there is not enough time left. */
static bool divide_time(const struct pg *pg, uint64_t deadline_ns, struct limits *limits)
{
    uint64_t now_ns = clock_steady_ns();
    uint64_t part_ms = pg->settings->timeout_ms / 8;
    *limits = (struct limits){.until_ns = deadline_ns};
    if (part_ms == 0)
        return deadline_ns > now_ns;
    uint64_t left_ms = deadline_ns > now_ns ? (deadline_ns - now_ns) / NS_PER_MS : 0;
    if (left_ms < 2 * part_ms + LEAST_MS)
        return false;
    limits->until_ns = deadline_ns - part_ms * NS_PER_MS;
    limits->server_ms = left_ms - 2 * part_ms;
    return true;
}

uint64_t pg_change_tag(void)
{
    uint64_t tag = 0;
    if (getrandom(&tag, sizeof tag, 0) != (ssize_t)sizeof tag)
        tag = clock_steady_ns();
    return tag >> 1 | 1; /* PostgreSQL integers are signed; 0 is no tag */
}

/* ---- the call of integration_change() ---- */

/* The changes as columns. */
enum column { OPERATIONS, IDS, DOCUMENTS, IF_REVISIONS, IF_US, MEMBERS, SEQUENCES, COLUMNS };

static void append_change(struct pg_array columns[COLUMNS], const struct store_change *change)
{
    static const struct str names[] = {[STORE_CREATE] = STR_INIT("create"),
                                       [STORE_REPLACE] = STR_INIT("replace"),
                                       [STORE_PUT] = STR_INIT("put"),
                                       [STORE_REMOVE] = STR_INIT("remove"),
                                       [STORE_RECREATE] = STR_INIT("recreate")};
    bool removes = change->operation == STORE_REMOVE;
    pg_array_add_text(&columns[OPERATIONS], names[change->operation]);
    pg_array_add_text(&columns[IDS], change->id);
    pg_array_add_text(&columns[DOCUMENTS], removes ? (struct str){NULL, 0} : change->document);
    pg_array_add_number(&columns[IF_REVISIONS], change->if_version.revision);
    pg_array_add_number(&columns[IF_US], change->if_version.tag);
}

/* `sealed` may be NULL. */
static void append_changes(struct pg_array columns[COLUMNS], const struct store_batch *batch,
                           const struct pg_sealed *sealed)
{
    static const enum pg_array_kind kinds[COLUMNS] = {
        [OPERATIONS] = PG_TEXTS,     [IDS] = PG_TEXTS,     [DOCUMENTS] = PG_JSONS,
        [IF_REVISIONS] = PG_NUMBERS, [IF_US] = PG_NUMBERS, [MEMBERS] = PG_JSONS,
        [SEQUENCES] = PG_NUMBERS,
    };
    for (size_t i = 0; i < COLUMNS; i++)
        pg_array_begin(&columns[i], kinds[i], batch->len);
    for (size_t i = 0; i < batch->len; i++) {
        append_change(columns, &batch->changes[i]);
        pg_array_add_text(&columns[MEMBERS],
                          sealed == NULL ? (struct str){NULL, 0} : sealed->members[i]);
        pg_array_add_number(&columns[SEQUENCES], sealed == NULL ? 0 : sealed->sequences[i]);
    }
}

/* Sets a text, or SQL NULL if it is empty. */
static void set_text_if_any(struct pg_value *value, struct str text)
{
    pg_set_text(value, text);
    if (text.len == 0)
        pg_set_null(value);
}

/* Sets a number, or SQL NULL if it is 0. */
static void set_if_any(struct pg_value *value, uint64_t number)
{
    pg_set_number(value, number);
    if (number == 0)
        pg_set_null(value);
}

/* Calls the function; `sealed`: the changes are those in there, unless it is NULL. Returns false if
 * memory is lacking, and nothing was asked. */
static bool call(struct pg *pg, const struct store_batch *batch, const struct pg_sealed *sealed,
                 uint64_t tag, const struct limits *limits, enum pg_status *asked,
                 PGresult **result)
{
    struct pg_array columns[COLUMNS];
    struct pg_value values[COLUMNS + 6];
    const struct store_version *store = batch->if_store;
    bool has_memory = true;
    append_changes(columns, batch, sealed);
    for (size_t i = 0; i < COLUMNS; i++)
        has_memory &= pg_set_array(&values[i], &columns[i]);
    if (sealed == NULL)
        pg_set_null(&values[SEQUENCES]);
    set_text_if_any(&values[COLUMNS], batch->author.actor);
    set_text_if_any(&values[COLUMNS + 1], batch->author.request_id);
    pg_set_number(&values[COLUMNS + 2], tag);
    pg_set_number(&values[COLUMNS + 3], store == NULL ? 0 : store->revision);
    if (store == NULL)
        pg_set_null(&values[COLUMNS + 3]);
    set_if_any(&values[COLUMNS + 4], store == NULL ? 0 : store->tag);
    set_if_any(&values[COLUMNS + 5], limits->server_ms);
    if (has_memory)
        *asked = pg_query(pg, &make_changes, values, ARRAY_LEN(values), limits->until_ns, result);
    for (size_t i = 0; i < COLUMNS; i++)
        pg_array_release(&columns[i]);
    return has_memory;
}

static enum store_status read_outcome(struct str outcome)
{
    if (str_equal(outcome, STR("exists")))
        return STORE_EXISTS;
    if (str_equal(outcome, STR("changed")) || str_equal(outcome, STR("elsewhere")))
        return STORE_CHANGED;
    return str_equal(outcome, STR("missing")) ? STORE_NOT_FOUND : STORE_OK;
}

static void read_failure(const PGresult *result, struct store_batch *batch)
{
    bool elsewhere = str_equal(pg_get_text(result, 0, COLUMN_OUTCOME), STR("elsewhere"));
    batch->failed = elsewhere ? batch->len : pg_get_number(result, 0, COLUMN_FAILED);
    batch->found = (struct store_version){pg_get_number(result, 0, COLUMN_FOUND_REVISION),
                                          pg_get_number(result, 0, COLUMN_FOUND_TAG)};
}

/* Reads what the last of the changes made. */
static void read_made(const PGresult *result, const struct store_batch *batch, uint64_t tag,
                      struct replica_change *made)
{
    const struct store_change *last = &batch->changes[batch->len - 1];
    uint64_t revision = pg_get_number(result, 0, COLUMN_REVISION);
    *made = (struct replica_change){
        .revision = revision,
        .tag = tag,
        .previous_tag = pg_get_number(result, 0, COLUMN_PREVIOUS_TAG),
        .record = {.sequence = pg_get_number(result, 0, COLUMN_SEQUENCE),
                   .revision = revision,
                   .created_us = pg_get_number(result, 0, COLUMN_CREATED_US),
                   .updated_us = pg_get_number(result, 0, COLUMN_UPDATED_US)}};
    if (batch->len > 1) /* the last change alone is not enough to update the replica */
        return;
    made->id = last->id;
    if (last->operation != STORE_REMOVE)
        made->record.document = last->document;
}

/* Whether the server ends a statement of this connection in time. */
static bool is_limited(const struct pg *pg, const struct limits *limits)
{
    return limits->server_ms == 0 ||
           (pg->settings->prepare &&
            limits->server_ms >= pg_statement_ms(pg->settings->timeout_ms));
}

/* Prepares the changes of a store with sealed documents, and calls the function with them. Then the
 * changes of *batch are those that were made. */
static bool call_sealed(struct pg *pg, struct store_batch *batch, uint64_t tag,
                        const struct limits *limits, struct pg_outcome *outcome, PGresult **result)
{
    struct pg_sealed sealed;
    outcome->asked = pg_sealing_prepare(pg, batch, limits->server_ms, limits->until_ns,
                                        &outcome->arena, &sealed);
    if (outcome->asked != PG_OK || outcome->arena.failed)
        return outcome->asked != PG_OK;
    batch->changes = sealed.changes;
    return call(pg, batch, &sealed, tag, limits, &outcome->asked, result);
}

/* Calls the function in a transaction in which the server keeps to the limits. */
static bool call_limited(struct pg *pg, struct store_batch *batch, uint64_t tag,
                         const struct limits *limits, struct pg_outcome *outcome, PGresult **result)
{
    char sql[200];
    enum pg_status *asked = &outcome->asked;
    /* If this process hangs in the middle, it must not block others for longer. */
    snprintf(sql, sizeof sql,
             "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL statement_timeout = %" PRIu64
             "; SET LOCAL idle_in_transaction_session_timeout = %" PRIu64,
             limits->server_ms, limits->server_ms > 0 ? limits->server_ms : IDLE_MS);
    *asked = pg_run(pg, sql, limits->until_ns);
    if (*asked != PG_OK)
        return true;
    bool called = pg->settings->vault->len > 0
                      ? call_sealed(pg, batch, tag, limits, outcome, result)
                      : call(pg, batch, NULL, tag, limits, asked, result);
    if (*asked == PG_LOST)
        return called;
    bool made = called && *asked == PG_OK;
    enum pg_status ended = pg_run(pg, made ? "COMMIT" : "ROLLBACK", limits->until_ns);
    if (ended != PG_OK && made)
        PQclear(*result);
    if (ended != PG_OK)
        *asked = ended;
    return called;
}

void pg_change_make(struct pg *pg, struct store_batch *batch, uint64_t tag,
                    struct pg_outcome *outcome)
{
    struct limits limits;
    PGresult *result;
    *outcome = (struct pg_outcome){.asked = PG_OK, .status = STORE_AWAY};
    if (!divide_time(pg, batch->deadline_ns, &limits))
        return;
    struct store_batch made = *batch;
    bool called = is_limited(pg, &limits) && pg->settings->vault->len == 0
                      ? call(pg, batch, NULL, tag, &limits, &outcome->asked, &result)
                      : call_limited(pg, &made, tag, &limits, outcome, &result);
    if (!called || outcome->asked != PG_OK)
        return;
    outcome->status = read_outcome(pg_get_text(result, 0, COLUMN_OUTCOME));
    batch->created = pg_get_number(result, 0, COLUMN_CREATED);
    if (outcome->status == STORE_OK)
        read_made(result, &made, tag, &outcome->made);
    else
        read_failure(result, batch);
    PQclear(result);
}

void pg_change_release(struct pg_outcome *outcome)
{
    arena_release(&outcome->arena);
}

/* Asks for the change in a transaction of the level that the function needs, which is that of a
 * session of our own. */
static enum pg_status ask_settled(struct pg *pg, uint64_t tag, uint64_t deadline_ns,
                                  PGresult **result)
{
    struct pg_value value;
    enum pg_status status = PG_OK;
    pg_set_number(&value, tag);
    if (!pg->settings->prepare)
        status = pg_run(pg, "BEGIN ISOLATION LEVEL READ COMMITTED", deadline_ns);
    if (status == PG_OK)
        status = pg_query(pg, &settle_change, &value, 1, deadline_ns, result);
    if (pg->settings->prepare || status == PG_LOST)
        return status;
    enum pg_status ended = pg_run(pg, status == PG_OK ? "COMMIT" : "ROLLBACK", deadline_ns);
    if (ended != PG_OK && status == PG_OK)
        PQclear(*result);
    return status == PG_OK ? ended : status;
}

enum store_status pg_change_settle(struct pg *pg, uint64_t tag, const struct store_batch *batch,
                                   struct pg_outcome *outcome)
{
    PGresult *result;
    if (ask_settled(pg, tag, batch->deadline_ns, &result) != PG_OK)
        return STORE_UNKNOWN;
    uint64_t revision = pg_get_number(result, 0, 0);
    uint64_t made_us = pg_get_number(result, 0, 1);
    PQclear(result);
    if (revision == 0)
        return STORE_AWAY;
    *outcome = (struct pg_outcome){.asked = PG_OK,
                                   .arena = outcome->arena,
                                   .made = {.revision = revision, .record.updated_us = made_us}};
    return STORE_OK;
}
