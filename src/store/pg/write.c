/* SPDX-License-Identifier: MIT
 *
 * Changes: made in the database, looked up again if the connection broke, and applied to this
 * host's replica before they are answered. */
#include "base/clock.h"
#include "core/log.h"
#include "store/pg/backend.h"
#include "store/pg/change.h"

/* How long to wait for other threads to apply earlier changes to the replica. After that it is
 * cheaper to fetch them from the database. */
enum { EARLIER_MS = 2, TRY_AGAIN_MS = 50 };

static struct pg_shared *shared_of(const struct store_session *session)
{
    return session->store->shared.area.shared;
}

/* Where a change stands relative to the replica. */
enum standing {
    STANDING_APPLIED,
    STANDING_NOT_NEXT, /* earlier changes are missing */
    STANDING_OVERTAKEN /* the replica has moved past it or cannot be read: waiting is pointless */
};

/* Applies the change to the replica if it is the next one. */
static enum standing apply_if_next(struct store_session *session, const struct replica_change *made,
                                   uint64_t deadline_ns)
{
    struct store_version mark;
    if (documents_get_version(&session->reader, &mark) != STORE_OK)
        return STANDING_OVERTAKEN;
    if (mark.revision >= made->revision)
        return mark.revision == made->revision && mark.tag == made->tag ? STANDING_APPLIED
                                                                        : STANDING_OVERTAKEN;
    if (mark.revision + 1 != made->revision ||
        pg_replica_apply(&session->reader, made, deadline_ns) != REPLICA_CURRENT)
        return STANDING_NOT_NEXT;
    event_signal(&shared_of(session)->progress, event_bit(made->revision + 1));
    return STANDING_APPLIED;
}

/* Waits for other threads to apply earlier changes, then applies this one. */
static bool apply_in_turn(struct store_session *session, const struct replica_change *made,
                          uint64_t deadline_ns)
{
    struct event *progress = &shared_of(session)->progress;
    uint64_t end_ns = clock_after_ms(EARLIER_MS);
    enum standing standing;
    uint32_t seen;
    do {
        seen = event_count(progress);
        standing = apply_if_next(session, made, deadline_ns);
    } while (standing == STANDING_NOT_NEXT &&
             event_wait(progress, seen, event_bit(made->revision), end_ns));
    return standing == STANDING_APPLIED;
}

/* Asks the database for what the replica lacks, and returns whether the replica has it now. */
static bool catch_up(struct store_session *session, struct pg *pg, uint64_t deadline_ns)
{
    struct pg_area *area = &session->store->shared.area;
    if (!pg_area_begin_fetch(area)) /* another thread is at it: once is enough */
        return false;
    enum replica_status status = pg_replica_catch_up(
        pg, &session->reader, session->store->shared.options.database.timeout_ms, deadline_ns);
    pg_area_end_fetch(area);
    if (status == REPLICA_CURRENT)
        event_signal(&shared_of(session)->progress, EVENT_ANY);
    else if (status == REPLICA_FULL)
        atomic_store(&shared_of(session)->full, true); /* until the follower finds room */
    return status == REPLICA_CURRENT;
}

/* The same, on another connection. */
static bool catch_up_anew(struct store_session *session, uint64_t deadline_ns)
{
    struct pg_pooled *pooled = pg_pool_take(&session->store->pool, deadline_ns);
    bool current = pooled != NULL && catch_up(session, &pooled->pg, deadline_ns);
    if (pooled != NULL)
        pg_backend_give(session, pooled);
    return current;
}

/* Returns whether the replica has the change. Tries again and again, and waits for others
 * meanwhile: the follower, which may be copying the replica, or have a connection although ours
 * broke, and threads that apply earlier changes. */
static bool wait_for_replica(struct store_session *session, const struct replica_change *made,
                             const struct pg_moment *moment, uint64_t deadline_ns)
{
    struct pg_shared *shared = shared_of(session);
    while (clock_steady_ns() < deadline_ns) {
        uint32_t seen = event_count(&shared->progress);
        if (atomic_load(&shared->full))
            return false;
        if (pg_store_is_complete_since(&session->store->shared, moment) ||
            (made->id.data != NULL && apply_in_turn(session, made, deadline_ns)) ||
            catch_up_anew(session, deadline_ns))
            return true;
        (void)!event_wait(&shared->progress, seen, EVENT_ANY,
                          clock_within_ms(TRY_AGAIN_MS, deadline_ns));
    }
    log_message(LOG_WARNING, "a change was committed, but the replica does not have it yet");
    return false;
}

/* Ensures that the host's replica has the change, so that reads after the answer see it; returns
 * whether it has. Gives the connection back. */
static bool bring_replica(struct store_session *session, struct pg_pooled *pooled,
                          const struct replica_change *made, uint64_t deadline_ns)
{
    const struct store_options *options = &session->store->shared.options;
    struct pg_moment moment = pg_moment_now();
    bool full = atomic_load(&shared_of(session)->full);
    bool has = !full && ((made->id.data != NULL && apply_in_turn(session, made, deadline_ns)) ||
                         catch_up(session, &pooled->pg, deadline_ns));
    pg_backend_give(session, pooled);
    if (!has && !full && !options->alone)
        has = wait_for_replica(session, made, &moment, deadline_ns);
    return has || options->alone; /* where nothing reads the replica */
}

/* Settles what becomes of a batch whose connection was lost, on a new connection in *pooled. */
static enum store_status resolve(struct store_session *session, struct pg_pooled **pooled,
                                 const struct store_batch *batch, uint64_t tag,
                                 struct pg_outcome *outcome)
{
    struct pg_pool *pool = &session->store->pool;
    pg_pool_give(pool, *pooled);
    *pooled = pg_pool_take(pool, batch->deadline_ns);
    return *pooled == NULL ? STORE_UNKNOWN : pg_change_settle(&(*pooled)->pg, tag, batch, outcome);
}

enum store_status pg_backend_change(struct store_session *session, struct store_batch *batch)
{
    struct pg_outcome outcome;
    uint64_t tag = pg_change_tag();
    struct pg_pooled *pooled = pg_backend_take(session, batch->deadline_ns);
    if (pooled == NULL)
        return STORE_AWAY;
    pg_change_make(&pooled->pg, batch, tag, &outcome);
    enum store_status status = outcome.status;
    if (outcome.asked != PG_OK)
        status = pg_backend_failure(session, &pooled->pg, outcome.asked);
    if (outcome.asked == PG_LOST && !pooled->pg.declined)
        status = resolve(session, &pooled, batch, tag, &outcome);
    if (status == STORE_OK && outcome.made.revision > 0) {
        batch->revision = outcome.made.revision;
        batch->made_us = outcome.made.record.updated_us;
        atomic_fetch_add(&shared_of(session)->commits, 1);
        if (batch->more)
            pg_backend_give(session, pooled);
        else
            batch->unseen = !bring_replica(session, pooled, &outcome.made, batch->deadline_ns);
    } else if (pooled != NULL) {
        pg_backend_give(session, pooled);
    }
    pg_change_release(&outcome);
    return status;
}
