/* SPDX-License-Identifier: MIT
 *
 * What the threads of a worker share. */
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

/* Each kind of work that may wait has handlers of its own: a list or a scrape shall not wait for a
 * disk, for a body that is still on its way, or for a database that does not answer. */
enum { LANES = APP_DATABASE + 1, HANDLERS_MAX = LANES * 64 };

/* A thread that answers. */
struct server_thread {
    struct worker *worker;
    struct app_session session;
    struct buffer body; /* of the current request */
    pthread_t thread;   /* of a handler */
    struct lane *lane;  /* where a handler takes its requests from */
};

/* What is parked (parking.c). */
struct parking {
    struct connection *first; /* of a list; the poller's, as are the next three */
    struct connection *next;  /* where a round through the list stands; NULL: none is under way */
    uint64_t soonest_ns;      /* no wait ends before this time */
    bool started;             /* the watcher was */
    pthread_t watcher;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* len or ending */
    atomic_size_t len;      /* of the list */
    atomic_bool ending;
    atomic_bool committed; /* since the last round */
};

struct worker {
    const struct worker_options *options;
    struct cgi_place place;
    struct app app;
    struct connection_set connections;
    struct lane lanes[LANES]; /* by enum app_where; that of APP_AT_ONCE stays empty */
    struct server_thread poller;
    struct server_thread handlers[HANDLERS_MAX];
    size_t handlers_len;

    /* The acceptor's (acceptor.c): */
    pthread_t acceptor;
    atomic_bool accepting;

    /* Any thread may look at, or write to: */
    int epoll_fd;
    int wake_fd; /* an eventfd: the poller shall look around */
    atomic_bool draining;
    atomic_size_t handed_over; /* requests with the handlers, waiting or being answered */

    /* The poller's own: */
    int signal_fd;
    struct parking parking;
    size_t partial; /* connections with a request in part */
    uint64_t drain_until_ns;
    uint64_t cpu_counted_ns;
    uint64_t stuck_checked_ns;
    unsigned char look[FASTCGI_LOOK_SIZE];
};

static inline bool worker_is_draining(const struct worker *worker)
{
    return atomic_load_explicit(&worker->draining, memory_order_relaxed);
}

#endif
