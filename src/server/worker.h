/* SPDX-License-Identifier: MIT
 *
 * A worker process: accepts connections from web servers and answers their requests.
 *
 * There are three kinds of threads. The acceptor accepts connections. The poller, the main thread
 * of the process, watches all of them, and answers requests that cannot block (reads from mapped
 * memory) itself. It hands other requests to handlers and does not watch their connections until
 * they are answered, so that no read waits behind a disk write, a long body or a large answer.
 * Neither an incomplete request nor a parked one (see parking.h) occupies a thread.
 *
 * Limits: a request must arrive within REQUEST_TIMEOUT, all of it. Long requests that are arriving
 * may take 64 MiB of memory together, and one of them MAX_BODY_BYTES more; beyond that, one is
 * dropped. */
#ifndef SERVER_WORKER_H
#define SERVER_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "app/app.h"

/* What the parent process passes to a worker. */
struct worker_options {
    const struct app_parts *parts;
    int listen_fd; /* bound and listening, shared with other workers; closed at the end */
    int ready_fd;  /* or -1; a byte is written when the worker serves; closed when it drains */
    /* Started by a web server, one of any number of such processes. SIGTERM acts as WORKER_END,
     * because nobody else may be using the socket. */
    bool hosted;
    uint64_t started_us;         /* when the service started */
    const atomic_bool *stopping; /* set from outside: the whole service is stopping */
    atomic_bool *served;         /* set after the first request that did not break the store */
};

/* Exit statuses of a worker. */
enum {
    WORKER_DONE = 0,      /* stopped as requested, all requests answered */
    WORKER_FAILED = 1,    /* gave up: requests were cut off, or the store is broken */
    WORKER_UNUSABLE = 78, /* could not start (EX_CONFIG, sysexits.h); the reason is logged */
};

/* Signals handled by a worker; all others stay blocked. SIGTERM and SIGINT: drain, and leave the
 * connections in the listen queue to the remaining workers. WORKER_END: drain, and also answer the
 * connections in the queue, because no worker remains. Draining ends when all connections are
 * closed, or after DRAIN_TIMEOUT. */
#define WORKER_END SIGUSR1

/* The service is about to stop, and the web server in front of it stops first: answer parked
 * requests now, and park no more. */
#define WORKER_LEAVE SIGHUP

/* Serves until told to stop; returns an exit status. The caller has blocked all signals. */
int worker_run(const struct worker_options *options);

#endif
