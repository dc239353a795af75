/* SPDX-License-Identifier: MIT
 *
 * A change: made in the database, found again if its connection broke, and put into this host's
 * replica before it is answered. */
#include <time.h>

#include "base/clock.h"
#include "core/log.h"
#include "store/pg/backend.h"
#include "store/pg/change.h"

enum { LOOK_US = 2000, TURN_LOOK_US = 50, TURN_MS = 2 };

static void sleep_us(long us)
{
    nanosleep(&(struct timespec){.tv_nsec = us * 1000}, NULL);
}

/* Applies the change if it is the replica's next, which other threads may make it in a moment: it
 * is cheaper to wait for them than to ask the database for what they have. */
static bool apply_in_turn(struct store_session *session, const struct replica_change *made)
{
    uint64_t end_ns = clock_after_ms(TURN_MS);
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

enum store_status pg_backend_change(struct store_session *session, struct store_batch *batch)
{
    struct documents_mark before = {0};
    struct pg_outcome outcome;
    uint64_t tag = pg_change_tag();
    struct pg_pooled *pooled = pg_backend_take(session, batch->deadline_ns);
    if (pooled == NULL)
        return STORE_AWAY;
    (void)documents_get_mark(&session->reader, &before);
    pg_change_make(&pooled->pg, batch, tag, &outcome);
    enum store_status status = outcome.status;
    if (outcome.asked != PG_OK)
        status = pg_backend_failure(session, &pooled->pg, outcome.asked);
    if (outcome.asked == PG_LOST)
        status = resolve(session, &pooled, batch, tag, before.revision, &outcome);
    if (status == STORE_OK && outcome.made.revision > 0) {
        batch->revision = outcome.made.revision;
        batch->made_us = outcome.made.record.updated_us;
        atomic_fetch_add(&session->store->shared.area.shared->commits, 1);
        bring_replica(session, &pooled->pg, &outcome.made, batch->deadline_ns);
    }
    if (pooled != NULL)
        pg_backend_give(session, pooled);
    return status;
}
