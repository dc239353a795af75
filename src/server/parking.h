/* SPDX-License-Identifier: MIT
 *
 * Requests that wait for a commit without a thread: their connections stay in a list, and in epoll
 * only for their clients' going. One more thread sleeps on the store's event while the list is not
 * empty, and wakes the poller when a commit of any process comes. Then, or when its time is over,
 * or when the worker drains, a request is routed again, and answered if it waits no more.
 *
 * All of it is the poller's to call. */
#ifndef SERVER_PARKING_H
#define SERVER_PARKING_H

#include "server/state.h"

void parking_init(struct worker *worker);
/* Ends the thread, if it was started. */
void parking_end(struct worker *worker);

/* Parks the connection's current request, which app_route wants parked. False: it waits no more, or
 * there is no thread to wake it; it is to be handed over as its route says now. */
MUST_CHECK bool parking_enter(struct worker *worker, struct connection *connection);

/* Takes a connection that is about to be closed out of the list, if it is there. */
void parking_leave(struct worker *worker, struct connection *connection);

/* The next one that is to be handed over now; it is in the list no more. NULL: none. */
struct connection *parking_next(struct worker *worker, uint64_t now_ns);

/* How long the poller may sleep for their sake, in ms; -1: for ever. */
int parking_wait_ms(const struct worker *worker);

#endif
