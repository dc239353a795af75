/* SPDX-License-Identifier: MIT
 *
 * State shared by the threads of a worker. */
#ifndef SERVER_STATE_H
#define SERVER_STATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "app/app.h"
#include "base/event.h"
#include "server/cgi.h"
#include "server/connection.h"
#include "server/lane.h"
#include "server/worker.h"

/* Each kind of blocking work has its own handlers, so that a list never waits for the disk, for a
 * body that is still arriving, or for a database that does not respond, and a probe or a scrape
 * for none of them. */
enum { LANES = APP_PROBES + 1, HANDLERS_MAX = LANES * 64 };

/* A thread that answers requests. */
struct server_thread {
    struct worker *worker;
    struct app_session session;
    struct buffer body; /* of the current request */
    pthread_t thread;   /* only for a handler */
    struct lane *lane;  /* where a handler gets its requests from; only for a handler */
};

/* The parked requests (parking.c). */
struct parking {
    /* The members before `watcher` are used by the poller only, once the thread runs. */
    struct connection *first; /* head of the list */
    struct connection *next;  /* next connection of the current pass through it; NULL: no pass */
    uint64_t soonest_ns;      /* no parked request times out before this */
    bool started;             /* the watcher thread has been started */
    uint32_t seen;            /* commits before it was */
    pthread_t watcher;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* signalled when `len` or `ending` has changed */
    atomic_size_t len;      /* length of the list */
    atomic_bool ending;
    atomic_bool committed; /* there was a commit since the last pass started */
};

struct worker {
    const struct worker_options *options;
    struct cgi_place place;
    struct app app;
    struct connection_set connections;
    struct lane lanes[LANES]; /* indexed by enum app_where; the lane of APP_AT_ONCE stays empty */
    struct server_thread poller;
    struct server_thread handlers[HANDLERS_MAX];
    size_t handlers_len;

    /* Used by the acceptor (acceptor.c): */
    pthread_t acceptor;
    atomic_bool accepting;

    /* Accessible to all threads: */
    int epoll_fd;
    int wake_fd; /* an eventfd that makes the poller check its state */
    atomic_bool draining;
    atomic_size_t handed_over; /* requests queued for or being answered by handlers */

    /* Used by the poller only: */
    int signal_fd;
    struct parking parking;
    size_t collected; /* bytes of these requests that are kept */
    size_t partial;   /* number of connections with an incomplete request */
    uint64_t drain_until_ns;
    uint64_t cpu_counted_ns;
    uint64_t store_seen_ns;
    uint64_t stuck_checked_ns;
    unsigned char look[FASTCGI_LOOK_SIZE];
};

static inline bool worker_is_draining(const struct worker *worker)
{
    return atomic_load_explicit(&worker->draining, memory_order_relaxed);
}

#endif
