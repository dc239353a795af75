/* SPDX-License-Identifier: MIT
 *
 * The follower: one process per host, which keeps the replica up to date with the database. It
 * listens for changes, but also polls every second because a notification can be missed. It tells
 * the other processes whether the database is available. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "core/log.h"
#include "store/pg/change.h"
#include "store/pg/keys.h"
#include "store/pg/schema.h"
#include "store/pg/shared.h"

enum {
    HEARTBEAT_MS = 1000,
    BACK_OFF_FIRST_MS = 100,
    BACK_OFF_LONGEST_MS = 2000,
    ANOTHER_LOOK_MS = 500,
    FIRST_LOOK_MS = 1000, /* limit for the first attempt to reach the database, if there is a
                             replica to serve */
    REASON_SIZE = 400,
    PRUNE_AFTER = 1000,     /* in revisions, */
    PRUNE_AFTER_MS = 600000 /* or in time */
};

#define CHANGES_KEPT 10000         /* that replicas may need, however old they are */
#define STOOD_NS (100 * NS_PER_MS) /* a connection that lasted this long counts as a good one */

struct follower {
    const struct store_follow *follow;
    struct pg_store store;
    struct documents_reader reader;
    struct pg_settings settings;
    struct pg pg;
    bool has_replica; /* from an earlier run */
    bool told_ready;
    bool broken;    /* LMDB failed: only restarting the process can help */
    bool connected; /* during the current attempt */
    uint64_t connected_ns;
    uint64_t pruned_at; /* revision of the last pruning */
    uint64_t pruned_ns;
    struct pg_keys keys;
    uint64_t back_off_ms;
    char reason[REASON_SIZE]; /* why the database is away */
    char told[REASON_SIZE];   /* the reason that was logged last */
};

/* Outcome of an attempt to follow the database. */
enum attempt {
    ATTEMPT_GOES_ON,  /* not ended: the connection is ready for use */
    ATTEMPT_TOLD,     /* told to stop */
    ATTEMPT_AWAY,     /* the database does not respond, or the connection was lost */
    ATTEMPT_UNUSABLE, /* the database responds, but its schema cannot be followed */
    ATTEMPT_ANOTHER   /* another process of this state directory is the follower */
};

static const struct pg_statement prune_changes = {"integration_prune",
                                                  "SELECT integration_prune($1, $2, $3)"};

static bool is_stopping(const struct follower *follower)
{
    return poll(&(struct pollfd){follower->follow->stop_fd, POLLIN, 0}, 1, 0) > 0;
}

static void tell_ready(struct follower *follower)
{
    if (!follower->told_ready)
        follower->follow->ready(follower->follow->context);
    follower->told_ready = true;
}

static void set_presence(struct follower *follower, enum pg_presence presence)
{
    enum pg_presence before =
        (enum pg_presence)atomic_exchange(&follower->store.area.shared->presence, presence);
    bool same_reason = presence == PG_UP || strcmp(follower->reason, follower->told) == 0;
    if (before == presence && same_reason)
        return;
    event_signal(&follower->store.area.shared->progress, EVENT_ANY);
    snprintf(follower->told, sizeof follower->told, "%s",
             presence == PG_UP ? "" : follower->reason);
    if (presence == PG_UP)
        log_message(LOG_INFO, "the database is there: the replica follows it");
    else
        LOG(LOG_ERROR, "the database is away: reads go on from the replica, changes are refused",
            LOG_TEXT("error", follower->reason));
}

/* The time for a piece of work. */
static uint64_t limit_ms(const struct follower *follower)
{
    uint64_t ms = follower->store.options.database.timeout_ms;
    if (!follower->told_ready && follower->has_replica && ms > FIRST_LOOK_MS &&
        !follower->store.options.vault->goes_on) /* else nobody waits for this */
        ms = FIRST_LOOK_MS;
    return ms;
}

static uint64_t deadline(const struct follower *follower)
{
    return clock_after_ms(limit_ms(follower));
}

/* ---- following ---- */

static void note(struct follower *follower, const char *reason)
{
    snprintf(follower->reason, sizeof follower->reason, "%s", reason);
}

static enum replica_status copy(struct follower *follower)
{
    struct store_version mark;
    enum replica_status status = pg_replica_copy(&follower->pg, &follower->reader,
                                                 follower->store.options.database.timeout_ms);
    if (status != REPLICA_CURRENT || documents_get_version(&follower->reader, &mark) != STORE_OK)
        return status;
    atomic_fetch_add(&follower->store.area.shared->copies, 1);
    LOG(LOG_INFO, "the replica is a new copy of the database",
        LOG_NUMBER("revision", mark.revision));
    return status;
}

/* Whether the database cancelled the query because of its time limit (query_canceled). A copy is
 * exempt from that limit. */
static bool was_too_slow(const struct follower *follower, enum replica_status status)
{
    return status == REPLICA_REFUSED && pg_refused_as(&follower->pg, "57014");
}

/* Brings the replica up to date with the database, and records when. */
static enum replica_status bring_up_to_date(struct follower *follower)
{
    struct pg_moment asked = pg_moment_now();
    if (!environment_is_whole(&follower->store.replica, false)) /* it would follow a lost file */
        return REPLICA_BROKEN;
    enum replica_status status = pg_replica_catch_up(
        &follower->pg, &follower->reader, follower->store.options.database.timeout_ms, UINT64_MAX);
    if (status == REPLICA_DIVERGED || was_too_slow(follower, status))
        status = copy(follower);
    atomic_store(&follower->store.area.shared->full, status == REPLICA_FULL);
    if (status == REPLICA_CURRENT)
        pg_store_note_complete(&follower->store, &asked);
    return status;
}

/* The same; if the database cannot be followed returns false, with the reason in follower->reason.
 */
static bool catch_up(struct follower *follower)
{
    switch (bring_up_to_date(follower)) {
    case REPLICA_CURRENT:
    case REPLICA_FULL: /* its reads grow old, but the database takes changes */
    case REPLICA_UNWRITTEN:
        return true;
    case REPLICA_BROKEN:
        note(follower, "the replica is broken: see the line before");
        follower->broken = true;
        break;
    case REPLICA_REFUSED:
        note(follower, pg_schema_explain(PG_SCHEMA_REFUSED));
        break;
    case REPLICA_BEHIND:
    case REPLICA_DIVERGED:
    case REPLICA_LOST:
        note(follower, "the connection was lost, or nothing came in time");
        break;
    }
    return false;
}

/* Seals what is in the replica, and fetches what could not be opened. */
static void seal_replica(struct follower *follower)
{
    if (pg_keys_seal(&follower->keys, &follower->store, &follower->reader, limit_ms(follower),
                     follower->follow->stop_fd))
        (void)copy(follower);
}

static bool look_for_keys(struct follower *follower)
{
    return pg_keys_look(&follower->keys, &follower->store, &follower->pg, limit_ms(follower),
                        follower->reason, sizeof follower->reason);
}

/* Lets go of what is not kept of the log of changes. Any host's follower may do this. */
static void prune(struct follower *follower)
{
    const struct store_keeping *keeping = &follower->store.options.history;
    struct store_version mark;
    struct pg_value values[3];
    PGresult *result;
    uint64_t now_ns = clock_steady_ns();
    if (documents_get_version(&follower->reader, &mark) != STORE_OK ||
        (mark.revision < follower->pruned_at + PRUNE_AFTER &&
         now_ns < follower->pruned_ns + PRUNE_AFTER_MS * NS_PER_MS))
        return;
    follower->pruned_at = mark.revision;
    follower->pruned_ns = now_ns;
    pg_set_number(&values[0], keeping->versions);
    pg_set_number(&values[1], keeping->days);
    pg_set_number(&values[2], CHANGES_KEPT);
    if (pg_query(&follower->pg, &prune_changes, values, ARRAY_LEN(values), deadline(follower),
                 &result) == PG_OK)
        PQclear(result);
}

/* Consumes pending notifications. Returns whether one is about a revision that the replica
 * lacks. */
static bool take_notifications(struct follower *follower)
{
    struct store_version mark = {0};
    uint64_t newest = 0;
    PGnotify *notification;
    while ((notification = PQnotifies(follower->pg.connection)) != NULL) {
        uint64_t revision = 0;
        if (str_to_u64(str_from(notification->extra), &revision) && revision > newest)
            newest = revision;
        PQfreemem(notification);
    }
    return newest > 0 &&
           (documents_get_version(&follower->reader, &mark) != STORE_OK || mark.revision < newest);
}

/* Waits for a notification, until the next heartbeat. Sets *stop or *lost if told to stop or if the
 * connection is lost. */
static bool wait_for_news(struct follower *follower, uint64_t beat_ns, bool *stop, bool *lost)
{
    struct pollfd polled[] = {{PQsocket(follower->pg.connection), POLLIN, 0},
                              {follower->follow->stop_fd, POLLIN, 0}};
    if (take_notifications(follower)) /* received together with an earlier answer */
        return true;
    poll(polled, 2, clock_ms_until(beat_ns));
    *stop = polled[1].revents != 0;
    *lost = polled[0].revents != 0 && !PQconsumeInput(follower->pg.connection);
    return take_notifications(follower);
}

/* Whether the tables are still what this program needs: a restored backup may have older ones. */
static bool has_schema(struct follower *follower)
{
    uint64_t version;
    enum pg_schema schema = pg_schema_look(&follower->pg, &version, deadline(follower));
    note(follower, pg_schema_explain(schema));
    return schema == PG_SCHEMA_READY;
}

/* Follows the database until told to stop or the connection is lost. */
static enum attempt follow_changes(struct follower *follower)
{
    uint64_t beat_ns = clock_after_ms(HEARTBEAT_MS);
    bool stop = false;
    bool lost = false;
    prune(follower);
    for (;;) {
        bool news = wait_for_news(follower, beat_ns, &stop, &lost);
        bool beat = clock_steady_ns() >= beat_ns;
        if (stop)
            return ATTEMPT_TOLD;
        if (lost)
            note(follower, "the connection was lost");
        if (lost || ((news || beat) && !catch_up(follower)))
            return ATTEMPT_AWAY;
        if (beat) {
            if (!has_schema(follower))
                return ATTEMPT_AWAY;
            prune(follower);
            seal_replica(follower);
            if (pg_keys_are_due(&follower->keys) && !look_for_keys(follower))
                LOG(LOG_ERROR, "some settings cannot be read here",
                    LOG_TEXT("reason", follower->reason));
            beat_ns = clock_after_ms(HEARTBEAT_MS);
        }
    }
}

/* ---- connecting ---- */

/* Whether a database without tables is one that lost them: there was a change once. */
static bool has_lost_tables(struct follower *follower, enum pg_schema schema, uint64_t version)
{
    struct store_version mark;
    return schema == PG_SCHEMA_OLD && version == 0 &&
           documents_get_version(&follower->reader, &mark) == STORE_OK && mark.revision > 0;
}

/* Makes the schema what this program needs. Returns how that ended, with the reason noted. */
static enum attempt prepare_schema(struct follower *follower)
{
    uint64_t version;
    size_t applied;
    enum pg_schema schema = pg_schema_look(&follower->pg, &version, deadline(follower));
    if (has_lost_tables(follower, schema, version)) {
        note(follower, "it has no tables, although this host's replica has integrations: restore "
                       "it, or run `integration-service migrate` if it is to begin empty");
        return ATTEMPT_AWAY;
    }
    if (schema == PG_SCHEMA_OLD)
        schema = pg_schema_migrate(&follower->pg, &applied, deadline(follower));
    if (schema == PG_SCHEMA_READY)
        return ATTEMPT_GOES_ON;
    note(follower, pg_schema_explain(schema));
    return schema == PG_SCHEMA_LOST || schema == PG_SCHEMA_BUSY ? ATTEMPT_AWAY : ATTEMPT_UNUSABLE;
}

/* Writes the defaults to a database that has never held anything. */
static bool seed(struct follower *follower)
{
    struct pg_outcome outcome;
    struct store_batch batch = follower->follow->defaults;
    batch.deadline_ns = deadline(follower);
    if (batch.len == 0)
        return true;
    pg_change_make(&follower->pg, &batch, pg_change_tag(), &outcome);
    pg_change_release(&outcome);
    return outcome.asked == PG_OK &&
           (outcome.status == STORE_OK || outcome.status == STORE_CHANGED);
}

/* Prepares a new connection. */
static enum attempt prepare(struct follower *follower)
{
    if (pg_open(&follower->pg, follower->pg.connection, &follower->settings, deadline(follower)) !=
        PG_OK) {
        note(follower, pg_schema_explain(PG_SCHEMA_LOST));
        return ATTEMPT_AWAY;
    }
    enum attempt prepared = prepare_schema(follower);
    if (prepared != ATTEMPT_GOES_ON)
        return prepared;
    if (!seed(follower)) {
        note(follower, "the default integrations could not be written");
        return ATTEMPT_AWAY;
    }
    /* LISTEN before the first catch-up, so that no change in between goes unnoticed. With
     * PgBouncer, the server connection that listens would not stay ours. */
    if (follower->settings.prepare &&
        pg_run(&follower->pg, "LISTEN integration_store", deadline(follower)) != PG_OK) {
        note(follower, "the connection was lost");
        return ATTEMPT_AWAY;
    }
    return ATTEMPT_GOES_ON;
}

/* Takes over the key for masks. What keeps the replica from holding it is logged, and told when it
 * lacks more. */
static bool take_masks(struct follower *follower)
{
    enum replica_status status =
        pg_replica_take_masks(&follower->pg, &follower->reader, deadline(follower));
    if (status == REPLICA_LOST || status == REPLICA_REFUSED)
        note(follower, "the key for masks could not be read");
    return status != REPLICA_LOST && status != REPLICA_REFUSED;
}

static enum attempt follow_connected(struct follower *follower)
{
    enum attempt prepared = prepare(follower);
    if (prepared != ATTEMPT_GOES_ON)
        return prepared;
    if (!follower->told_ready && !follower->store.options.vault->goes_on &&
        !look_for_keys(follower))
        return ATTEMPT_UNUSABLE;
    if (!take_masks(follower) || !catch_up(follower))
        return ATTEMPT_AWAY;
    follower->back_off_ms = BACK_OFF_FIRST_MS;
    follower->connected = true;
    follower->connected_ns = clock_steady_ns();
    set_presence(follower, PG_UP);
    seal_replica(follower); /* else workers might lack a key for what is in it */
    seal_replica(follower); /* if it was copied */
    tell_ready(follower);
    return follow_changes(follower);
}

/* Connects, and follows the database until told to stop or the connection is lost. */
static enum attempt attempt(struct follower *follower)
{
    struct pg_area *area = &follower->store.area;
    follower->connected = false;
    int place = pg_area_take_first(area);
    if (place < 0)
        return ATTEMPT_ANOTHER;
    PGconn *connection = pg_target_connect(&follower->store.target, deadline(follower),
                                           follower->reason, sizeof follower->reason);
    enum attempt ended = ATTEMPT_AWAY;
    if (connection != NULL) {
        follower->pg.connection = connection;
        atomic_fetch_add(&area->shared->connects, 1);
        ended = follow_connected(follower);
        pg_close(&follower->pg);
    }
    pg_area_give(area, place);
    return ended;
}

/* Waits before the next attempt: longer each time, and with jitter so that hosts do not retry in
 * step. */
static void back_off(struct follower *follower)
{
    uint64_t ms = follower->back_off_ms;
    uint64_t jitter = clock_steady_ns() / 1000 % (ms / 2 + 1);
    poll(&(struct pollfd){follower->follow->stop_fd, POLLIN, 0}, 1, (int)(ms / 2 + jitter));
    follower->back_off_ms = ms * 2 < BACK_OFF_LONGEST_MS ? ms * 2 : BACK_OFF_LONGEST_MS;
}

static void look_for_replica(struct follower *follower)
{
    struct store_version mark;
    follower->has_replica = documents_get_version(&follower->reader, &mark) == STORE_OK;
}

/* Serves from the replica that the other follower maintains. When that one ends, this one takes
 * over. */
static void wait_for_another(struct follower *follower)
{
    look_for_replica(follower);
    if (follower->has_replica)
        tell_ready(follower);
    poll(&(struct pollfd){follower->follow->stop_fd, POLLIN, 0}, 1, ANOTHER_LOOK_MS);
}

/* Runs until told to stop. Returns false if the follower cannot work at all. */
static bool run(struct follower *follower)
{
    look_for_replica(follower);
    while (!is_stopping(follower)) {
        enum attempt ended = attempt(follower);
        if (ended == ATTEMPT_TOLD)
            return true;
        if (ended == ATTEMPT_ANOTHER) {
            wait_for_another(follower);
            continue;
        }
        if (follower->broken || (ended == ATTEMPT_UNUSABLE && !follower->told_ready))
            return false;
        if (follower->connected && clock_steady_ns() - follower->connected_ns > STOOD_NS)
            continue; /* perhaps only this connection was cut: retry at once */
        set_presence(follower, PG_AWAY);
        tell_ready(follower);
        back_off(follower);
    }
    return true;
}

bool pg_follow(const struct store_options *options, const struct store_follow *follow, char *error,
               size_t error_size)
{
    struct follower *follower = calloc(1, sizeof *follower);
    bool followed = false;
    if (follower == NULL) {
        snprintf(error, error_size, "no memory for the follower");
        return false;
    }
    follower->follow = follow;
    follower->settings = (struct pg_settings){options->database.prepare, options->vault,
                                              options->database.timeout_ms};
    follower->back_off_ms = BACK_OFF_FIRST_MS;
    if (pg_store_open(&follower->store, options, error, error_size)) {
        if (documents_reader_open(&follower->store.replica, &follower->reader)) {
            followed = run(follower);
            snprintf(error, error_size, "the database: %s", follower->reason);
            documents_reader_close(&follower->reader);
        } else {
            snprintf(error, error_size, "cannot read the replica");
        }
        pg_store_close(&follower->store);
    }
    free(follower);
    return followed;
}
