/* SPDX-License-Identifier: MIT */
#include "store/pg/change.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/random.h>

#include "base/clock.h"

static const struct pg_statement change_one = {
    "integration_change",
    "SELECT outcome, the_revision, the_previous_tag, the_sequence, created_us, updated_us"
    " FROM integration_change($1, $2, $3, $4, $5)"};
static const struct pg_statement lock_store = {"integration_lock",
                                               "SELECT revision FROM integration_store FOR UPDATE"};
static const struct pg_statement find_change = {
    "integration_find",
    "SELECT coalesce(max(revision), 0) FROM integration_changes WHERE tag = $1 AND revision >= $2"};

enum {
    LEAST_MS = 50,      /* with less time for the server, a change is not begun */
    IDLE_MAX_MS = 30000 /* for a transaction without a deadline */
};

/* Who waits until when, in steady time: the server ends a statement after server_ms (0: when it
 * likes), we give up at until_ns, and until the deadline it can be looked up what became of it. */
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
    return tag >> 1; /* PostgreSQL integers are signed */
}

static enum store_status read_outcome(struct str outcome)
{
    if (str_equal(outcome, STR("exists")))
        return STORE_EXISTS;
    if (str_equal(outcome, STR("changed")))
        return STORE_CHANGED;
    return str_equal(outcome, STR("missing")) ? STORE_NOT_FOUND : STORE_OK;
}

/* Makes one change, in the current transaction or else in one of its own. */
static void make(struct pg *pg, const struct store_change *change, uint64_t tag, uint64_t until_ns,
                 struct store_batch *batch, struct pg_outcome *outcome)
{
    static const struct str names[] = {[STORE_CREATE] = STR_INIT("create"),
                                       [STORE_REPLACE] = STR_INIT("replace"),
                                       [STORE_PUT] = STR_INIT("put"),
                                       [STORE_REMOVE] = STR_INIT("remove")};
    struct pg_value values[5];
    PGresult *result;
    struct str document = change->document;
    if (change->operation == STORE_REMOVE)
        document.data = NULL;
    pg_set_text(&values[0], names[change->operation]);
    pg_set_text(&values[1], change->id);
    pg_set_json(&values[2], document);
    pg_set_number(&values[3], tag);
    pg_set_number(&values[4], change->if_revision);
    outcome->asked = pg_query(pg, &change_one, values, 5, until_ns, &result);
    if (outcome->asked != PG_OK)
        return;
    struct str name = pg_get_text(result, 0, 0);
    outcome->status = read_outcome(name);
    batch->created += str_equal(name, STR("created"));
    if (outcome->status != STORE_OK)
        batch->found = pg_get_number(result, 0, 1);
    outcome->made = (struct replica_change){.revision = pg_get_number(result, 0, 1),
                                            .tag = tag,
                                            .previous_tag = pg_get_number(result, 0, 2),
                                            .id = change->id,
                                            .record = {.sequence = pg_get_number(result, 0, 3),
                                                       .revision = pg_get_number(result, 0, 1),
                                                       .created_us = pg_get_number(result, 0, 4),
                                                       .updated_us = pg_get_number(result, 0, 5),
                                                       .document = document}};
    PQclear(result);
}

/* Locks the store, and checks that it has the revision that the batch requires. */
static bool is_at_revision(struct pg *pg, uint64_t until_ns, struct store_batch *batch,
                           struct pg_outcome *outcome)
{
    PGresult *result;
    outcome->asked = pg_query(pg, &lock_store, NULL, 0, until_ns, &result);
    if (outcome->asked != PG_OK)
        return false;
    uint64_t revision = pg_get_number(result, 0, 0);
    PQclear(result);
    if (revision == *batch->if_store)
        return true;
    batch->failed = batch->len;
    batch->found = revision;
    outcome->status = STORE_CHANGED;
    return false;
}

/* Begins a transaction in which the server keeps to the limits. */
static enum pg_status begin(struct pg *pg, const struct limits *limits)
{
    char sql[160];
    uint64_t idle_ms = limits->server_ms > 0 ? limits->server_ms : IDLE_MAX_MS;
    /* If this process hangs in the middle, it must not block others forever. */
    snprintf(sql, sizeof sql,
             "BEGIN; SET LOCAL statement_timeout = %" PRIu64
             "; SET LOCAL idle_in_transaction_session_timeout = %" PRIu64,
             limits->server_ms, idle_ms);
    return pg_run(pg, sql, limits->until_ns);
}

/* Makes several changes in one transaction. */
static void make_all(struct pg *pg, const struct limits *limits, struct store_batch *batch,
                     uint64_t tag, struct pg_outcome *outcome)
{
    uint64_t until_ns = limits->until_ns;
    outcome->asked = begin(pg, limits);
    if (outcome->asked != PG_OK)
        return;
    bool wanted = batch->if_store == NULL || is_at_revision(pg, until_ns, batch, outcome);
    for (size_t i = 0; wanted && i < batch->len; i++) {
        batch->failed = i;
        make(pg, &batch->changes[i], i + 1 == batch->len ? tag : pg_change_tag(), until_ns, batch,
             outcome);
        wanted = outcome->asked == PG_OK && outcome->status == STORE_OK;
    }
    if (outcome->asked == PG_LOST)
        return;
    enum pg_status ended = pg_run(pg, wanted ? "COMMIT" : "ROLLBACK", until_ns);
    if (ended != PG_OK)
        outcome->asked = ended;
}

void pg_change_make(struct pg *pg, struct store_batch *batch, uint64_t tag,
                    struct pg_outcome *outcome)
{
    struct limits limits;
    *outcome = (struct pg_outcome){.asked = PG_OK, .status = STORE_AWAY};
    if (!divide_time(pg, batch->deadline_ns, &limits))
        return;
    outcome->status = STORE_OK;
    batch->created = 0;
    /* A single change needs no transaction of its own if the connection's limit is short enough. */
    bool limited =
        limits.server_ms == 0 ||
        (pg->settings->prepare && limits.server_ms >= pg_statement_ms(pg->settings->timeout_ms));
    if (batch->len == 1 && batch->if_store == NULL && limited)
        make(pg, batch->changes, tag, limits.until_ns, batch, outcome);
    else
        make_all(pg, &limits, batch, tag, outcome);
    if (batch->len > 1) /* the last change alone is not enough to update the replica */
        outcome->made.id.data = NULL;
}

enum store_status pg_change_find(struct pg *pg, uint64_t tag, uint64_t since,
                                 struct store_batch *batch, struct pg_outcome *outcome)
{
    struct pg_value values[2];
    PGresult *result;
    enum pg_status asked = pg_query(pg, &lock_store, NULL, 0, batch->deadline_ns, &result);
    if (asked != PG_OK)
        return STORE_UNKNOWN;
    PQclear(result);
    pg_set_number(&values[0], tag);
    pg_set_number(&values[1], since);
    if (pg_query(pg, &find_change, values, 2, batch->deadline_ns, &result) != PG_OK)
        return STORE_UNKNOWN;
    uint64_t revision = pg_get_number(result, 0, 0);
    PQclear(result);
    if (revision == 0)
        return STORE_AWAY;
    *outcome = (struct pg_outcome){.asked = PG_OK, .made = {.revision = revision}};
    return STORE_OK;
}
