/* SPDX-License-Identifier: MIT
 *
 * The worker's first thread: it watches every connection, answers what waits for nothing, hands
 * over what may wait, and parks what waits for a commit. */
#ifndef SERVER_POLLER_H
#define SERVER_POLLER_H

#include <stdint.h>

#include "server/state.h"

/* Opens what is watched besides connections. False with errno. */
MUST_CHECK bool poller_open(struct worker *worker);
void poller_close(struct worker *worker);

/* Watches an accepted socket; any thread may call it. */
void poller_take_in(struct worker *worker, int fd);

/* Watches a connection from now on, or for other events; epoll_ctl(2). Any thread may call it for a
 * connection that is its own. */
void poller_watch(struct worker *worker, struct connection *connection, int operation,
                  uint32_t events);

/* The event loop, until the worker was told to end and its connections are closed, or the time for
 * that is over. */
void poller_run(struct worker *worker);

#endif
