/* SPDX-License-Identifier: MIT */
#include "store/pg/pool.h"

#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "core/log.h"
#include "store/pg/schema.h"

enum {
    REASON_SIZE = 400,
    PLACE_LOOK_MS = 5,
    REFUSED_WAIT_MS = 100 /* before another connection is asked of a server that refused one */
};

#define IDLE_NS (30000 * NS_PER_MS)

bool pg_pool_open(struct pg_pool *pool, struct pg_target *target, struct pg_area *area,
                  const struct pg_settings *settings, const struct pg_share *share)
{
    pthread_condattr_t steady;
    *pool =
        (struct pg_pool){.target = target, .area = area, .settings = *settings, .share = *share};
    pool->entries = calloc(share->limit, sizeof *pool->entries);
    if (pool->entries == NULL)
        return false;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_condattr_init(&steady);
    pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
    pthread_cond_init(&pool->returned, &steady);
    pthread_condattr_destroy(&steady);
    return true;
}

/* Closes a connection; the entry keeps its place. */
static void disconnect(struct pg_pool *pool, struct pg_pooled *pooled)
{
    atomic_fetch_sub(&pool->connected, 1);
    pg_close(&pooled->pg);
    pooled->open = false;
}

static void end_connection(struct pg_pool *pool, struct pg_pooled *pooled)
{
    disconnect(pool, pooled);
    pg_area_give(pool->area, pooled->place);
}

void pg_pool_close(struct pg_pool *pool)
{
    for (size_t i = 0; i < pool->share.limit; i++)
        if (pool->entries[i].open)
            end_connection(pool, &pool->entries[i]);
    free(pool->entries);
    pthread_cond_destroy(&pool->returned);
    pthread_mutex_destroy(&pool->lock);
}

/* ---- opening ---- */

/* Prepares a connection. Returns NULL, or the reason why it is unusable. */
static const char *prepare(struct pg_pool *pool, struct pg *pg, PGconn *connection,
                           uint64_t deadline_ns)
{
    uint64_t version;
    if (pg_open(pg, connection, &pool->settings, deadline_ns) != PG_OK)
        return pg_schema_explain(PG_SCHEMA_LOST);
    enum pg_schema schema = pg_schema_look(pg, &version, deadline_ns);
    return schema == PG_SCHEMA_READY ? NULL : pg_schema_explain(schema);
}

/* Opens a connection in the place that the entry holds. Releases the place on failure, and lets the
 * server rest: its limit may be below ours. */
static bool open_connection(struct pg_pool *pool, struct pg_pooled *pooled, uint64_t deadline_ns)
{
    char reason[REASON_SIZE];
    const char *wrong = reason;
    PGconn *connection = pg_target_connect(pool->target, deadline_ns, reason, sizeof reason);
    if (connection != NULL) {
        wrong = prepare(pool, &pooled->pg, connection, deadline_ns);
        if (wrong != NULL)
            pg_close(&pooled->pg);
    }
    if (wrong != NULL) {
        LOG(LOG_ERROR, "cannot connect to the database", LOG_TEXT("error", wrong));
        atomic_store(&pool->refused_until_ns, clock_after_ms(REFUSED_WAIT_MS));
        if (atomic_load(&pool->connected) == 0)
            pg_area_starve(pool->area);
        pg_area_give(pool->area, pooled->place);
        return false;
    }
    atomic_fetch_add(&pool->area->shared->connects, 1);
    atomic_fetch_add(&pool->connected, 1);
    pooled->open = true;
    return true;
}

/* ---- lending ---- */

static size_t count_held(const struct pg_pool *pool)
{
    size_t held = 0;
    for (size_t i = 0; i < pool->share.limit; i++)
        held += pool->entries[i].lent || pool->entries[i].open;
    return held;
}

/* Chooses the open connection that was used most recently, or else a closed entry, if there is a
 * place for it. Returns NULL if neither is available. */
static struct pg_pooled *choose(struct pg_pool *pool)
{
    struct pg_pooled *best = NULL, *closed = NULL;
    for (size_t i = 0; i < pool->share.limit; i++) {
        struct pg_pooled *entry = &pool->entries[i];
        if (entry->lent)
            continue;
        if (!entry->open)
            closed = entry;
        else if (best == NULL || entry->idle_since_ns > best->idle_since_ns)
            best = entry;
    }
    if (best != NULL || closed == NULL || clock_steady_ns() < atomic_load(&pool->refused_until_ns))
        return best;
    closed->place = pg_area_take(pool->area);
    if (closed->place >= 0)
        return closed;
    if (count_held(pool) < pool->share.fair)
        pg_area_want(pool->area);
    return NULL;
}

/* Closes connections that have been idle for long, except those to be kept, and connections beyond
 * this process's fair share if another process lacks some. */
static void end_idle(struct pg_pool *pool)
{
    uint64_t now_ns = clock_steady_ns();
    size_t held = count_held(pool);
    bool wanted = held > pool->share.fair && pg_area_is_wanted(pool->area);
    for (size_t i = 0; i < pool->share.limit; i++) {
        struct pg_pooled *entry = &pool->entries[i];
        bool stale = held > pool->share.kept &&
                     (pool->share.kept == 0 || now_ns - entry->idle_since_ns >= IDLE_NS);
        if (!entry->open || entry->lent || !(stale || (wanted && held > pool->share.fair)))
            continue;
        end_connection(pool, entry);
        held--;
    }
}

/* Waits until a connection is returned or it is time to look for a place again. Returns false if
 * the deadline has passed. */
static bool wait_a_little(struct pg_pool *pool, uint64_t deadline_ns)
{
    uint64_t now_ns = clock_steady_ns();
    uint64_t until_ns = now_ns + PLACE_LOOK_MS * NS_PER_MS;
    if (now_ns >= deadline_ns)
        return false;
    if (until_ns > deadline_ns)
        until_ns = deadline_ns;
    const struct timespec until = {.tv_sec = (time_t)(until_ns / (1000 * NS_PER_MS)),
                                   .tv_nsec = (long)(until_ns % (1000 * NS_PER_MS))};
    (void)pthread_cond_timedwait(&pool->returned, &pool->lock, &until);
    return true;
}

/* Whether the server refused a connection within the last second. */
static bool was_refused(const struct pg_pool *pool)
{
    return atomic_load(&pool->refused_until_ns) + 1000 * NS_PER_MS > clock_steady_ns();
}

static struct pg_pooled *wait_for_entry(struct pg_pool *pool, uint64_t deadline_ns)
{
    struct pg_pooled *pooled;
    bool in_time = true;
    pthread_mutex_lock(&pool->lock);
    while ((pooled = choose(pool)) == NULL && in_time)
        in_time = wait_a_little(pool, deadline_ns);
    if (pooled != NULL)
        pooled->lent = true;
    pthread_mutex_unlock(&pool->lock);
    if (pooled == NULL)
        log_message(LOG_ERROR, was_refused(pool)
                                   ? "no connection to the database was free in time, and the "
                                     "server refuses more: lower DB_POOL_SIZE and DB_MAX_OVERFLOW "
                                     "to what it allows, or raise its limits"
                                   : "no connection to the database was free in time: raise "
                                     "DB_POOL_SIZE or DB_MAX_OVERFLOW");
    return pooled;
}

static void put_back(struct pg_pool *pool, struct pg_pooled *pooled)
{
    pthread_mutex_lock(&pool->lock);
    pooled->lent = false;
    pooled->idle_since_ns = clock_steady_ns();
    end_idle(pool);
    pthread_cond_signal(&pool->returned);
    pthread_mutex_unlock(&pool->lock);
}

/* Makes an entry's connection one that works. */
static bool connect_entry(struct pg_pool *pool, struct pg_pooled *pooled, uint64_t deadline_ns)
{
    if (pooled->open && !pg_is_alive(&pooled->pg))
        disconnect(pool, pooled);
    return pooled->open || open_connection(pool, pooled, deadline_ns);
}

/* Where the follower has its connection, a refusal concerns the number of them: one will be given
 * back, here or by another process. */
struct pg_pooled *pg_pool_take(struct pg_pool *pool, uint64_t deadline_ns)
{
    struct pg_pooled *pooled;
    while ((pooled = wait_for_entry(pool, deadline_ns)) != NULL) {
        if (connect_entry(pool, pooled, deadline_ns)) {
            pg_area_use(pool->area, pooled->place, PG_BUSY);
            return pooled;
        }
        put_back(pool, pooled);
        if (atomic_load(&pool->area->shared->presence) != PG_UP)
            return NULL;
    }
    return NULL;
}

void pg_pool_give(struct pg_pool *pool, struct pg_pooled *pooled)
{
    if (pooled->pg.lost || pg_area_feed(pool->area))
        end_connection(pool, pooled);
    else
        pg_area_use(pool->area, pooled->place, PG_IDLE);
    put_back(pool, pooled);
}

void pg_pool_make_room(struct pg_pool *pool)
{
    bool away = atomic_load(&pool->area->shared->presence) == PG_AWAY;
    pthread_mutex_lock(&pool->lock);
    for (size_t i = 0; i < pool->share.limit; i++) {
        struct pg_pooled *entry = &pool->entries[i];
        if (!entry->lent && entry->open && (away || pg_area_feed(pool->area)))
            end_connection(pool, entry);
    }
    pthread_mutex_unlock(&pool->lock);
}

void pg_pool_retire(struct pg_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->share.kept = 0;
    end_idle(pool);
    pthread_mutex_unlock(&pool->lock);
}
