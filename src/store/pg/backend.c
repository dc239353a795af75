/* SPDX-License-Identifier: MIT */
#include "store/pg/backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "core/log.h"
#include "store/lmdb/holdings.h"

enum { KEYS_MS = 5000 };

/* ---- opening and closing ---- */

static size_t at_least_one(size_t number)
{
    return number > 0 ? number : 1;
}

/* Gives this process its share of the connections that are not reserved for the follower. */
static bool open_pool(struct store *store)
{
    const struct store_database *database = &store->shared.options.database;
    struct pg_settings settings = {database->prepare, store->shared.options.vault,
                                   store->shared.options.alone ? 0 : database->timeout_ms};
    size_t processes = at_least_one(database->processes);
    size_t limit = (database->connections - 1) / processes;
    struct pg_share share = {
        .limit = at_least_one(limit),
        /* During a reload there are twice as many processes for a while; neither half may
         * starve. */
        .fair = at_least_one(limit / 2),
        .kept = database->connections_kept < 2 ? 0 : (database->connections_kept - 1) / processes};
    if (share.kept == 0 && limit > 0)
        share.kept = 1; /* one per process, so that no process has to wait for another */
    return pg_pool_open(&store->pool, &store->shared.target, &store->shared.area, &settings,
                        &share);
}

/* Whether all documents of the replica can be opened. After a key was taken out of its file, the
 * follower may be about to see to that. */
static bool wait_for_keys(struct pg_store *store, char *error, size_t error_size)
{
    const struct vault *vault = store->options.vault;
    uint64_t until_ns = clock_after_ms(vault->goes_on ? KEYS_MS : 0);
    while (!holdings_are_covered(&store->replica, vault, error, error_size)) {
        if (clock_steady_ns() < until_ns) {
            nanosleep(&(struct timespec){.tv_nsec = 50 * (long)NS_PER_MS}, NULL);
            continue;
        }
        if (!vault->goes_on)
            return false;
        LOG(LOG_ERROR, "some settings cannot be read here", LOG_TEXT("reason", error));
        return true;
    }
    return true;
}

static struct store *pg_backend_open(const struct store_options *options, char *error,
                                     size_t error_size)
{
    struct store *store = calloc(1, sizeof *store);
    if (store == NULL) {
        snprintf(error, error_size, "no memory for the store");
        return NULL;
    }
    if (pg_store_open(&store->shared, options, error, error_size)) {
        if (options->alone || /* then the database itself is asked */
            wait_for_keys(&store->shared, error, error_size)) {
            if (open_pool(store))
                return store;
            snprintf(error, error_size, "no memory for the store");
        }
        pg_store_close(&store->shared);
    }
    free(store);
    return NULL;
}

static void pg_backend_close(struct store *store)
{
    pg_pool_close(&store->pool);
    pg_store_close(&store->shared);
    free(store);
}

static void pg_backend_retire(struct store *store)
{
    pg_pool_retire(&store->pool);
}

static struct store_session *pg_session_open(struct store *store)
{
    struct store_session *session = calloc(1, sizeof *session);
    if (session == NULL)
        return NULL;
    session->store = store;
    if (documents_reader_open(&store->shared.replica, &session->reader))
        return session;
    free(session);
    return NULL;
}

static void pg_session_close(struct store_session *session)
{
    documents_reader_close(&session->reader);
    free(session);
}

/* ---- connections ---- */

struct pg_pooled *pg_backend_take(struct store_session *session, uint64_t deadline_ns)
{
    struct store *store = session->store;
    struct pg_pooled *pooled = NULL;
    if (store->shared.options.alone ||
        atomic_load(&session->store->shared.area.shared->presence) != PG_AWAY)
        pooled = pg_pool_take(&store->pool, deadline_ns);
    if (pooled == NULL)
        atomic_fetch_add(&session->store->shared.area.shared->failures, 1);
    return pooled;
}

void pg_backend_give(struct store_session *session, struct pg_pooled *pooled)
{
    pg_pool_give(&session->store->pool, pooled);
}

enum store_status pg_backend_failure(struct store_session *session, const struct pg *pg,
                                     enum pg_status status)
{
    static const char *const full[] = {"53100", "54000"}; /* disk_full, program_limit_exceeded */
    atomic_fetch_add(&session->store->shared.area.shared->failures, 1);
    for (size_t i = 0; status == PG_REFUSED && i < ARRAY_LEN(full); i++)
        if (pg_refused_as(pg, full[i]))
            return STORE_FULL;
    return STORE_AWAY;
}

/* ---- questions ---- */

struct store_record pg_backend_read_record(const PGresult *row, int column)
{
    return (struct store_record){.sequence = pg_get_number(row, 0, column),
                                 .revision = pg_get_number(row, 0, column + 1),
                                 .created_us = pg_get_number(row, 0, column + 2),
                                 .updated_us = pg_get_number(row, 0, column + 3),
                                 .document = pg_get_text(row, 0, column + 4)};
}

/* What is left of the answer is read, too: the connection is used again. */
static enum pg_status visit_rows(struct pg *pg, uint64_t deadline_ns, pg_visit_row *visit,
                                 void *context)
{
    PGresult *row;
    enum pg_status status;
    bool more = true;
    while ((status = pg_next(pg, deadline_ns, &row)) == PG_ROW) {
        more = more && visit(context, row);
        PQclear(row);
    }
    return status;
}

enum store_status pg_backend_ask(struct store_session *session, const struct pg_question *question,
                                 uint64_t deadline_ns, pg_visit_row *visit, void *context)
{
    struct pg_pooled *pooled = pg_backend_take(session, deadline_ns);
    if (pooled == NULL)
        return STORE_AWAY;
    enum pg_status status = pg_send(&pooled->pg, question->statement, question->values,
                                    question->values_len, deadline_ns);
    if (status == PG_OK)
        status = visit_rows(&pooled->pg, deadline_ns, visit, context);
    enum store_status answer =
        status == PG_OK ? STORE_OK : pg_backend_failure(session, &pooled->pg, status);
    pg_backend_give(session, pooled);
    return answer;
}

/* ---- statistics ---- */

static enum store_status pg_stats(struct store_session *session, struct store_stats *stats)
{
    struct pg_store *store = &session->store->shared;
    struct pg_shared *shared = store->area.shared;
    enum store_status status = documents_stats(&session->reader, stats);
    pg_pool_make_room(&session->store->pool); /* we are asked each second in every worker */
    stats->database_up = atomic_load(&shared->presence) == PG_UP;
    stats->age_ms = pg_store_age_ms(store);
    stats->connections_idle = pg_area_count(&store->area, PG_IDLE);
    stats->connections_busy = pg_area_count(&store->area, PG_BUSY);
    stats->connections_max = store->area.places;
    stats->connects = atomic_load(&shared->connects);
    stats->commits = atomic_load(&shared->commits);
    stats->failures = atomic_load(&shared->failures);
    stats->copies = atomic_load(&shared->copies);
    return status;
}

static struct event *pg_commits(struct store *store)
{
    return &store->shared.replica.turn.page->commits;
}

const struct store_backend store_pg = {
    .name = "postgresql",
    .replicates = true,
    .follow = pg_follow,
    .open = pg_backend_open,
    .close = pg_backend_close,
    .retire = pg_backend_retire,
    .session_open = pg_session_open,
    .session_close = pg_session_close,
    .get = pg_backend_get,
    .each = pg_backend_each,
    .change = pg_backend_change,
    .history = pg_backend_history,
    .log = pg_backend_log,
    .reseal = pg_backend_reseal,
    .holdings = pg_backend_holdings,
    .ready = pg_backend_ready,
    .stats = pg_stats,
    .mask_key = pg_backend_mask_key,
    .commits = pg_commits,
};
