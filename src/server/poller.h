/* SPDX-License-Identifier: MIT
 *
 * The main thread of a worker. It watches all connections, answers requests that cannot block,
 * hands over those that may block, and parks those that wait for a commit. */
#ifndef SERVER_POLLER_H
#define SERVER_POLLER_H

#include <stdint.h>

#include "server/state.h"

/* Opens the descriptors that are watched besides connections. Returns false with errno set. */
MUST_CHECK bool poller_open(struct worker *worker);
void poller_close(struct worker *worker);

/* Takes ownership of an accepted socket and watches it; any thread may call this. */
void poller_take_in(struct worker *worker, int fd);

/* Starts watching a connection, or changes the events watched for, see epoll_ctl(2). A thread may
 * call this for a connection that belongs to it. On failure the connection is closed. */
void poller_watch(struct worker *worker, struct connection *connection, int operation,
                  uint32_t events);

/* Runs the event loop until the worker has been told to stop and all connections are closed, or the
 * drain timeout has passed. */
void poller_run(struct worker *worker);

#endif
