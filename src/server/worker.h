/* SPDX-License-Identifier: MIT
 *
 * A worker process: accepts connections of web servers and answers their requests.
 *
 * Three kinds of threads. The acceptor takes connections. The poller, the process's first thread,
 * watches them all; a request that waits for nothing (a read from mapped memory) it answers itself.
 * Any other goes to the handlers, and leaves the poller's set until it is answered: so no read
 * waits behind a write's disk, a long body or a large answer. A half-sent request holds no thread,
 * until it is a long one, which holds a handler; a parked one holds none (parking.h).
 *
 * Limits: a body that comes slowly holds a handler of the changes' lane while it comes. */
#ifndef SERVER_WORKER_H
#define SERVER_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/config.h"
#include "store/store.h"

/* What a worker is given by who forked it. */
struct worker_options {
    const struct config *config;
    const struct store_backend *backend;
    int listen_fd; /* bound and listening; shared with other workers; closed at the end */
    int ready_fd;  /* gets a byte when the worker serves, and is closed when it stops to; or -1 */
    bool hosted; /* a web server's own, one of any number: SIGTERM is WORKER_END, for its socket may
                    be nobody else's */
    uint64_t started_us;         /* start of the service */
    const atomic_bool *stopping; /* set from outside: the service is about to end */
    atomic_bool *served;         /* set after the first request that did not break the store */
};

/* Exit statuses of a worker. */
enum {
    WORKER_DONE = 0,      /* asked to stop, and every request it had was answered */
    WORKER_FAILED = 1,    /* gave up: requests were cut off, or the store is broken */
    WORKER_UNUSABLE = 78, /* could not start (EX_CONFIG, sysexits.h); it has logged why */
};

/* The signals a worker understands; all others stay blocked. SIGTERM and SIGINT: drain, and leave
 * what waits in the listening socket's queue to the workers that stay. WORKER_END: drain, and
 * answer what is in the queue too, for nobody stays. Draining ends when all connections are closed,
 * or after DRAIN_TIMEOUT. */
#define WORKER_END SIGUSR1

/* The service is about to end, and the web server in front first: requests that are parked are
 * answered now, and none is parked any more. */
#define WORKER_LEAVE SIGHUP

/* Serves until told to stop; returns an exit status. The caller has blocked all signals. */
int worker_run(const struct worker_options *options);

#endif
