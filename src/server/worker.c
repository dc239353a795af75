/* SPDX-License-Identifier: MIT */
#include "server/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/log.h"
#include "server/acceptor.h"
#include "server/confinement.h"
#include "server/handler.h"
#include "server/parking.h"
#include "server/poller.h"

enum { POLLER_ANSWER_MAX = 64 * 1024 /* small enough to fit into a socket buffer */ };

static void tell_ready(const struct worker_options *options)
{
    if (options->ready_fd < 0)
        return;
    ssize_t written = write(options->ready_fd, "", 1);
    (void)written; /* if nobody reads it any more, nobody is waiting for it */
}

/* Runs the worker's threads, once the poller has a session. */
static int run_threads(struct worker *worker)
{
    int status = WORKER_UNUSABLE;
    if (parking_start(worker) && handler_start_all(worker) && acceptor_start(worker)) {
        tell_ready(worker->options);
        poller_run(worker);
        size_t cut_off = atomic_load(&worker->handed_over) + worker->partial;
        status =
            cut_off > 0 || atomic_load(&worker->app.service.broken) ? WORKER_FAILED : WORKER_DONE;
        if (cut_off > 0)
            LOG(LOG_ERROR, "DRAIN_TIMEOUT is over: requests are cut off",
                LOG_NUMBER("requests", cut_off));
    } else {
        log_message(LOG_CRITICAL, "cannot start the threads: lower WORKERS or THREADS");
    }
    handler_stop_all(worker);
    parking_end(worker);
    return status;
}

static int open_and_run(struct worker *worker)
{
    const struct worker_options *options = worker->options;
    char error[512];
    const struct app_options app = {.parts = options->parts,
                                    .use = options->hosted ? SERVICE_HOSTED : SERVICE_POOL,
                                    .started_us = options->started_us};
    if (!app_open(&worker->app, &app, error, sizeof error)) {
        LOG(LOG_CRITICAL, "cannot start", LOG_TEXT("error", error));
        return WORKER_UNUSABLE;
    }
    worker->app.service_stopping = options->stopping;
    int status = WORKER_UNUSABLE;
    if (handler_open(worker, &worker->poller, POLLER_ANSWER_MAX)) {
        status = run_threads(worker);
        handler_close(&worker->poller);
    } else {
        log_message(LOG_CRITICAL, "cannot open a session of the store");
    }
    connection_set_release(&worker->connections);
    app_close(&worker->app);
    return status;
}

static int run(struct worker *worker)
{
    if (!fastcgi_init() || !poller_open(worker)) {
        LOG(LOG_CRITICAL, "cannot start", LOG_TEXT("error", strerror(errno)));
        return WORKER_UNUSABLE;
    }
    int status = open_and_run(worker);
    fastcgi_end();
    return status;
}

int worker_run(const struct worker_options *options)
{
    struct worker *worker = calloc(1, sizeof *worker);
    if (worker == NULL) {
        log_message(LOG_CRITICAL, "cannot start: no memory");
        return WORKER_UNUSABLE;
    }
    worker->options = options;
    worker->place = (struct cgi_place){str_from(options->parts->config->root_path),
                                       .by_script = options->hosted};
    worker->epoll_fd = worker->signal_fd = worker->wake_fd = -1;
    signal(SIGPIPE, SIG_IGN);
    confinement_enter(options->parts->config, options->hosted);
    for (size_t i = 0; i < LANES; i++)
        lane_init(&worker->lanes[i]);
    connection_set_init(&worker->connections);
    parking_init(worker);
    int status = run(worker);
    for (size_t i = 0; i < LANES; i++)
        lane_release(&worker->lanes[i]);
    poller_close(worker);
    free(worker);
    return status;
}
