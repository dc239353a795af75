/* SPDX-License-Identifier: MIT
 *
 * PostgreSQL as the store of many hosts. Changes are committed there; reads come from a replica in
 * LMDB, which the follower keeps up to date (pg_follower.c), and into which a worker puts its own
 * change before it answers. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/text.h"
#include "core/log.h"
#include "store/pg_change.h"
#include "store/pg_pool.h"
#include "store/pg_replica.h"
#include "store/pg_schema.h"
#include "store/pg_store.h"
#include "store/pg_url.h"

enum { PATH_SIZE = 512, LOOK_US = 2000, TURN_LOOK_US = 50, TURN_MS = 2 };

#define NS_PER_MS 1000000ULL

struct store {
    struct pg_store shared;
    struct pg_pool pool;
};

struct store_session {
    struct store *store;
    struct documents_reader reader;
    bool complete; /* the replica was seen to be a copy of the database; it stays one */
};

static const struct pg_statement select_one = {
    "integration_one",
    "SELECT s.revision, d.sequence, d.revision, (extract(epoch FROM d.created_at) * 1000000)::int8,"
    " (extract(epoch FROM d.updated_at) * 1000000)::int8, d.document"
    " FROM integration_store s LEFT JOIN integration_documents d ON d.id = $1"};
/* One row at least, for the revision. */
static const struct pg_statement select_all = {
    "integration_all",
    "SELECT s.revision, d.sequence, d.revision, (extract(epoch FROM d.created_at) * 1000000)::int8,"
    " (extract(epoch FROM d.updated_at) * 1000000)::int8, d.document"
    " FROM integration_store s LEFT JOIN integration_documents d ON d.sequence > $1"
    " AND s.revision <> $2"
    " AND ($3::json IS NULL OR d.id IN (SELECT json_array_elements_text($3::json)))"
    " ORDER BY d.sequence LIMIT $4"};
static const struct pg_statement select_revision = {"integration_revision",
                                                    "SELECT revision FROM integration_store"};

/* ---- open and close ---- */

bool pg_store_open(struct pg_store *store, const struct store_options *options, char *error,
                   size_t error_size)
{
    char path[PATH_SIZE];
    struct documents_options documents = {.max_bytes = options->max_bytes, .replica = true};
    *store = (struct pg_store){.options = *options};
    if (!pg_target_open(&store->target, options->database.url, error, error_size))
        return false;
    snprintf(path, sizeof path, "%s/database", options->directory);
    if (pg_area_open(&store->area, path, options->database.connections, error, error_size)) {
        snprintf(path, sizeof path, "%s/replica", options->directory);
        if (documents_open(&store->replica, path, &documents, error, error_size))
            return true;
        pg_area_close(&store->area);
    }
    pg_target_close(&store->target);
    return false;
}

void pg_store_close(struct pg_store *store)
{
    documents_close(&store->replica);
    pg_area_close(&store->area);
    pg_target_close(&store->target);
}

uint64_t pg_store_age_ms(const struct pg_store *store)
{
    uint64_t complete_us =
        atomic_load_explicit(&store->area.shared->complete_us, memory_order_relaxed);
    uint64_t now_us = clock_wall_us();
    if (complete_us == 0)
        return UINT64_MAX;
    return now_us > complete_us ? (now_us - complete_us) / 1000 : 0;
}

static size_t at_least_one(size_t number)
{
    return number > 0 ? number : 1;
}

/* This process's part of the connections that are not the follower's. */
static bool open_pool(struct store *store)
{
    const struct store_database *database = &store->shared.options.database;
    struct pg_settings settings = {database->prepare,
                                   store->shared.options.alone ? 0 : database->timeout_ms};
    size_t processes = at_least_one(database->processes);
    size_t limit = (database->connections - 1) / processes;
    struct pg_share share = {
        .limit = at_least_one(limit),
        /* At a reload there are twice as many processes for a while, and neither half may starve.
         */
        .fair = at_least_one(limit / 2),
        .kept = database->connections_kept < 2 ? 0 : (database->connections_kept - 1) / processes};
    if (share.kept == 0 && limit > 0)
        share.kept = 1; /* each process has its own: nobody waits for it */
    return pg_pool_open(&store->pool, &store->shared.target, &store->shared.area, &settings,
                        &share);
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
        if (open_pool(store))
            return store;
        snprintf(error, error_size, "no memory for the store");
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

static void pg_retire(struct store *store)
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

/* ---- the database ---- */

static struct pg_shared *shared_of(const struct store_session *session)
{
    return session->store->shared.area.shared;
}

/* Lends a connection, unless it is known that there is none to be had. */
static struct pg_pooled *take(struct store_session *session, uint64_t deadline_ns)
{
    struct store *store = session->store;
    struct pg_pooled *pooled = NULL;
    if (store->shared.options.alone || atomic_load(&shared_of(session)->presence) != PG_AWAY)
        pooled = pg_pool_take(&store->pool, deadline_ns);
    if (pooled == NULL)
        atomic_fetch_add(&shared_of(session)->failures, 1);
    return pooled;
}

/* What it means to the caller that the database did not do what it was asked. */
static enum store_status failure(struct store_session *session, const struct pg *pg,
                                 enum pg_status status)
{
    static const char *const full[] = {"53100", "54000"}; /* disk_full, program_limit_exceeded */
    atomic_fetch_add(&shared_of(session)->failures, 1);
    for (size_t i = 0; status == PG_REFUSED && i < ARRAY_LEN(full); i++)
        if (pg_refused_as(pg, full[i]))
            return STORE_FULL;
    return STORE_AWAY;
}

/* ---- reads ---- */

/* Whether there is a replica to read. */
static enum store_status look_for_replica(struct store_session *session)
{
    struct documents_mark mark;
    if (session->complete)
        return STORE_OK;
    enum store_status status = documents_get_mark(&session->reader, &mark);
    session->complete = status == STORE_OK;
    return status == STORE_NOT_FOUND ? STORE_AWAY : status;
}

static struct store_record read_record(const PGresult *result)
{
    return (struct store_record){.sequence = pg_get_number(result, 0, 1),
                                 .revision = pg_get_number(result, 0, 2),
                                 .created_us = pg_get_number(result, 0, 3),
                                 .updated_us = pg_get_number(result, 0, 4),
                                 .document = pg_get_text(result, 0, 5)};
}

static enum store_status get_fresh(struct store_session *session, struct store_read *read,
                                   struct str id, struct store_record *record, struct buffer *out)
{
    struct pg_value key;
    PGresult *result;
    struct pg_pooled *pooled = take(session, read->deadline_ns);
    if (pooled == NULL)
        return STORE_AWAY;
    pg_set_text(&key, id);
    enum pg_status asked = pg_query(&pooled->pg, &select_one, &key, 1, read->deadline_ns, &result);
    enum store_status status = STORE_NOT_FOUND;
    if (asked == PG_OK) {
        *record = read_record(result);
        read->revision = pg_get_number(result, 0, 0);
        if (record->document.data != NULL) {
            if (record->revision != read->known)
                buffer_append_str(out, record->document);
            record->document.data = NULL; /* it is gone with the result */
            status = STORE_OK;
        }
        PQclear(result);
    } else {
        status = failure(session, &pooled->pg, asked);
    }
    pg_pool_give(&session->store->pool, pooled);
    return status;
}

/* Shows the rows of select_all. */
static enum pg_status visit_rows(struct pg *pg, struct store_read *read, store_visit *visit,
                                 void *context)
{
    PGresult *result;
    enum pg_status status;
    bool more = true;
    while ((status = pg_next(pg, read->deadline_ns, &result)) == PG_ROW) {
        struct store_record record = read_record(result);
        read->revision = pg_get_number(result, 0, 0);
        if (more && record.document.data != NULL)
            more = visit(context, &record);
        PQclear(result);
    }
    return status;
}

static enum store_status each_fresh(struct store_session *session, struct store_read *read,
                                    store_visit *visit, void *context)
{
    struct buffer ids = {0};
    struct pg_value values[4];
    struct pg_pooled *pooled = take(session, read->deadline_ns);
    if (pooled == NULL)
        return STORE_AWAY;
    for (size_t i = 0; i < read->ids_len; i++) {
        buffer_append_char(&ids, i == 0 ? '[' : ',');
        text_append_json(&ids, read->ids[i]);
    }
    if (read->ids_len > 0)
        buffer_append_char(&ids, ']');
    pg_set_number(&values[0], read->after);
    pg_set_number(&values[1], read->known == 0 ? UINT64_MAX : read->known);
    pg_set_json(&values[2], buffer_str(&ids));
    pg_set_number(&values[3], read->wanted == 0 ? INT64_MAX : read->wanted);
    enum pg_status status = pg_send(&pooled->pg, &select_all, values, 4, read->deadline_ns);
    buffer_release(&ids);
    if (status == PG_OK)
        status = visit_rows(&pooled->pg, read, visit, context);
    enum store_status result = status == PG_OK ? STORE_OK : failure(session, &pooled->pg, status);
    pg_pool_give(&session->store->pool, pooled);
    return result;
}

static enum store_status pg_get(struct store_session *session, struct store_read *read,
                                struct str id, struct store_record *record, struct buffer *out)
{
    if (read->fresh)
        return get_fresh(session, read, id, record, out);
    enum store_status status = look_for_replica(session);
    read->age_ms = pg_store_age_ms(&session->store->shared);
    return status == STORE_OK ? documents_get(&session->reader, read, true, id, record, out)
                              : status;
}

static enum store_status pg_each(struct store_session *session, struct store_read *read,
                                 store_visit *visit, void *context)
{
    if (read->fresh)
        return each_fresh(session, read, visit, context);
    enum store_status status = look_for_replica(session);
    read->age_ms = pg_store_age_ms(&session->store->shared);
    return status == STORE_OK ? documents_each(&session->reader, read, visit, context) : status;
}

static enum store_status pg_ready(struct store_session *session, uint64_t deadline_ns)
{
    PGresult *result;
    struct pg_pooled *pooled = take(session, deadline_ns);
    if (pooled == NULL)
        return STORE_AWAY;
    enum pg_status asked = pg_query(&pooled->pg, &select_revision, NULL, 0, deadline_ns, &result);
    if (asked == PG_OK)
        PQclear(result);
    else
        (void)failure(session, &pooled->pg, asked);
    pg_pool_give(&session->store->pool, pooled);
    return asked == PG_OK ? STORE_OK : STORE_AWAY;
}

static enum store_status pg_stats(struct store_session *session, struct store_stats *stats)
{
    struct pg_store *store = &session->store->shared;
    struct pg_shared *shared = store->area.shared;
    enum store_status status = documents_stats(&session->reader, stats);
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

/* ---- changes ---- */

static void sleep_us(long us)
{
    nanosleep(&(struct timespec){.tv_nsec = us * 1000}, NULL);
}

/* Applies the change if it is the replica's next, which other threads may make it in a moment: it
 * is cheaper to wait for them than to ask the database for what they have. */
static bool apply_in_turn(struct store_session *session, const struct replica_change *made)
{
    uint64_t end_ns = clock_steady_ns() + TURN_MS * NS_PER_MS;
    struct documents_mark mark;
    while (documents_get_mark(&session->reader, &mark) == STORE_OK) {
        if (mark.revision >= made->revision)
            return mark.revision == made->revision && mark.tag == made->tag;
        if (mark.revision + 1 == made->revision &&
            pg_replica_apply(&session->reader, made) == REPLICA_CURRENT)
            return true;
        if (clock_steady_ns() >= end_ns)
            return false;
        sleep_us(TURN_LOOK_US);
    }
    return false;
}

/* Sees that the host's replica has the change, so that a read after the answer sees it. */
static void bring_replica(struct store_session *session, struct pg *pg,
                          const struct replica_change *made, uint64_t deadline_ns)
{
    struct pg_store *store = &session->store->shared;
    uint64_t made_us = clock_wall_us();
    if (made->id.data != NULL && apply_in_turn(session, made))
        return;
    if (pg_replica_catch_up(pg, &session->reader, store->options.database.timeout_ms) ==
            REPLICA_CURRENT ||
        store->options.alone)
        return;
    /* It must be copied anew, or the connection broke: the follower is at it. Or changes that come
     * first are still in the hands of other threads. */
    while (atomic_load(&store->area.shared->complete_us) < made_us) {
        if (made->id.data != NULL && apply_in_turn(session, made))
            return;
        if (clock_steady_ns() >= deadline_ns ||
            atomic_load(&store->area.shared->presence) == PG_AWAY) {
            log_message(LOG_WARNING,
                        "a change was committed, but the replica does not have it yet");
            return;
        }
        sleep_us(LOOK_US);
    }
}

/* What became of a batch whose connection was lost: asks on another one, in *pooled. */
static enum store_status resolve(struct store_session *session, struct pg_pooled **pooled,
                                 struct store_batch *batch, uint64_t tag, uint64_t since,
                                 struct pg_outcome *outcome)
{
    struct pg_pool *pool = &session->store->pool;
    pg_pool_give(pool, *pooled);
    *pooled = pg_pool_take(pool, batch->deadline_ns);
    if (*pooled != NULL && pg_change_find(&(*pooled)->pg, tag, since, batch, outcome))
        return STORE_OK;
    return STORE_AWAY;
}

static enum store_status pg_change(struct store_session *session, struct store_batch *batch)
{
    struct documents_mark before = {0};
    struct pg_outcome outcome;
    uint64_t tag = pg_change_tag();
    struct pg_pooled *pooled = take(session, batch->deadline_ns);
    if (pooled == NULL)
        return STORE_AWAY;
    (void)documents_get_mark(&session->reader, &before);
    pg_change_make(&pooled->pg, batch, tag, &outcome);
    enum store_status status = outcome.status;
    if (outcome.asked != PG_OK)
        status = failure(session, &pooled->pg, outcome.asked);
    if (outcome.asked == PG_LOST)
        status = resolve(session, &pooled, batch, tag, before.revision, &outcome);
    if (status == STORE_OK && outcome.made.revision > 0) {
        batch->revision = outcome.made.revision;
        batch->made_us = outcome.made.record.updated_us;
        atomic_fetch_add(&shared_of(session)->commits, 1);
        bring_replica(session, &pooled->pg, &outcome.made, batch->deadline_ns);
    }
    if (pooled != NULL)
        pg_pool_give(&session->store->pool, pooled);
    return status;
}

bool store_pg_check(const char *url, struct buffer *ignored, char *error, size_t error_size)
{
    struct pg_target target;
    struct buffer uri = {0};
    bool valid = pg_url_rewrite(str_from(url), &uri, ignored, error, error_size) &&
                 pg_target_open(&target, url, error, error_size);
    if (valid)
        pg_target_close(&target);
    buffer_release(&uri);
    return valid;
}

enum store_migration store_pg_migrate(const struct store_options *options, char *error,
                                      size_t error_size)
{
    struct pg_target target;
    struct pg pg;
    struct pg_settings settings = {options->database.prepare, 0};
    uint64_t deadline_ns = clock_steady_ns() + options->database.timeout_ms * NS_PER_MS;
    size_t applied = 0;
    if (!pg_target_open(&target, options->database.url, error, error_size))
        return STORE_NOT_MIGRATED;
    PGconn *connection = pg_target_connect(&target, deadline_ns, error, error_size);
    pg_target_close(&target);
    if (connection == NULL)
        return STORE_NOT_MIGRATED;
    enum pg_schema schema = PG_SCHEMA_LOST;
    if (pg_open(&pg, connection, &settings, deadline_ns) == PG_OK)
        schema = pg_schema_migrate(&pg, &applied, UINT64_MAX);
    pg_close(&pg);
    snprintf(error, error_size, "%s", pg_schema_explain(schema));
    if (schema != PG_SCHEMA_READY)
        return STORE_NOT_MIGRATED;
    return applied > 0 ? STORE_MIGRATED : STORE_UP_TO_DATE;
}

const struct store_backend store_pg = {
    .name = "postgresql",
    .replicates = true,
    .follow = pg_follow,
    .open = pg_backend_open,
    .close = pg_backend_close,
    .retire = pg_retire,
    .session_open = pg_session_open,
    .session_close = pg_session_close,
    .get = pg_get,
    .each = pg_each,
    .change = pg_change,
    .ready = pg_ready,
    .stats = pg_stats,
};
