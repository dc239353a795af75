/* SPDX-License-Identifier: MIT */
#include "server/parking.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>

#include "base/clock.h"
#include "server/poller.h"

enum { LONGEST_WAIT_MS = 3600000 };

/* ---- the thread that waits for commits ---- */

static void wait_for_company(struct parking *parking)
{
    pthread_mutex_lock(&parking->lock);
    while (atomic_load(&parking->len) == 0 && !atomic_load(&parking->ending))
        pthread_cond_wait(&parking->changed, &parking->lock);
    pthread_mutex_unlock(&parking->lock);
}

static void *watch_commits(void *argument)
{
    struct worker *worker = argument;
    struct parking *parking = &worker->parking;
    struct event *commits = service_commits(&worker->app.service);
    uint32_t seen = parking->seen;
    while (!atomic_load(&parking->ending)) {
        wait_for_company(parking);
        if (!event_wait(commits, seen, EVENT_ANY, clock_after_ms(LONGEST_WAIT_MS)))
            continue;
        uint32_t count = event_count(commits);
        if (count == seen)
            continue;
        seen = count;
        atomic_store(&parking->committed, true);
        eventfd_write(worker->wake_fd, 1);
    }
    return NULL;
}

void parking_init(struct worker *worker)
{
    pthread_mutex_init(&worker->parking.lock, NULL);
    pthread_cond_init(&worker->parking.changed, NULL);
}

bool parking_start(struct worker *worker)
{
    struct parking *parking = &worker->parking;
    parking->seen = event_count(service_commits(&worker->app.service));
    parking->started = pthread_create(&parking->watcher, NULL, watch_commits, worker) == 0;
    return parking->started;
}

/* Makes the thread check `len` and `ending` again. */
static void tell_thread(struct parking *parking)
{
    pthread_mutex_lock(&parking->lock);
    pthread_cond_signal(&parking->changed);
    pthread_mutex_unlock(&parking->lock);
}

void parking_end(struct worker *worker)
{
    struct parking *parking = &worker->parking;
    atomic_store(&parking->ending, true);
    /* The thread may be about to sleep, so wake it repeatedly until it ends. */
    while (parking->started && pthread_tryjoin_np(parking->watcher, NULL) == EBUSY) {
        tell_thread(parking);
        event_wake(service_commits(&worker->app.service));
        nanosleep(&(struct timespec){.tv_nsec = (long)NS_PER_MS}, NULL);
    }
    pthread_cond_destroy(&parking->changed);
    pthread_mutex_destroy(&parking->lock);
}

/* ---- the list ---- */

static void link_in(struct parking *parking, struct connection *connection)
{
    connection->is_parked = true;
    connection->parked_previous = NULL;
    connection->parked_next = parking->first;
    if (parking->first != NULL)
        parking->first->parked_previous = connection;
    parking->first = connection;
    if (connection->route.parked_until_ns < parking->soonest_ns || atomic_load(&parking->len) == 0)
        parking->soonest_ns = connection->route.parked_until_ns;
    if (atomic_fetch_add(&parking->len, 1) == 0)
        tell_thread(parking);
}

void parking_leave(struct worker *worker, struct connection *connection)
{
    struct parking *parking = &worker->parking;
    if (!connection->is_parked)
        return;
    connection->is_parked = false;
    if (connection->parked_next != NULL)
        connection->parked_next->parked_previous = connection->parked_previous;
    if (connection->parked_previous != NULL)
        connection->parked_previous->parked_next = connection->parked_next;
    else
        parking->first = connection->parked_next;
    if (parking->next == connection)
        parking->next = connection->parked_next;
    atomic_fetch_sub(&parking->len, 1);
}

/* Routes the request again, and returns whether it still waits. */
static bool still_waits(struct worker *worker, struct connection *connection)
{
    connection->route = app_route(&worker->poller.session, &connection->request);
    return connection->route.where == APP_PARKED;
}

bool parking_enter(struct worker *worker, struct connection *connection)
{
    link_in(&worker->parking, connection);
    /* A commit between routing and linking in would not have woken this request. */
    if (!still_waits(worker, connection)) {
        parking_leave(worker, connection);
        return false;
    }
    poller_watch(worker, connection, EPOLL_CTL_MOD, EPOLLRDHUP);
    return true;
}

/* Starts a pass through the list, if there is a reason to. */
static void begin_round(struct worker *worker, uint64_t now_ns)
{
    struct parking *parking = &worker->parking;
    if (parking->next != NULL || parking->first == NULL)
        return;
    bool committed = atomic_exchange(&parking->committed, false);
    if (!committed && now_ns < parking->soonest_ns && !atomic_load(&worker->app.leaving))
        return;
    parking->next = parking->first;
    parking->soonest_ns = UINT64_MAX;
}

void parking_look(struct worker *worker)
{
    atomic_store(&worker->parking.committed, true);
}

struct connection *parking_next(struct worker *worker, uint64_t now_ns)
{
    struct parking *parking = &worker->parking;
    begin_round(worker, now_ns);
    while (parking->next != NULL) {
        struct connection *connection = parking->next;
        parking->next = connection->parked_next;
        if (!still_waits(worker, connection)) {
            parking_leave(worker, connection);
            return connection;
        }
        if (connection->route.parked_until_ns < parking->soonest_ns)
            parking->soonest_ns = connection->route.parked_until_ns;
    }
    return NULL;
}

int parking_wait_ms(const struct worker *worker)
{
    return worker->parking.first == NULL ? -1 : clock_ms_until(worker->parking.soonest_ns);
}
