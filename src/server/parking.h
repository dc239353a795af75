/* SPDX-License-Identifier: MIT
 *
 * Requests that wait for a commit without occupying a thread. Their connections are kept in a list,
 * and are watched only for the client closing them. While the list is not empty, a separate thread
 * sleeps on the store's event and wakes the poller after a commit by any process. Parked requests
 * are routed again after a commit, when their time is up and when the worker drains, and are
 * answered if they need not wait any longer.
 *
 * Only the poller may call these functions. */
#ifndef SERVER_PARKING_H
#define SERVER_PARKING_H

#include "server/state.h"

void parking_init(struct worker *worker);
/* Starts the thread. Returns false if it could not be started. */
MUST_CHECK bool parking_start(struct worker *worker);
/* Stops the thread, if it was started. */
void parking_end(struct worker *worker);

/* Parks the current request of the connection, which app_route said to park. Returns false if the
 * request need not wait any longer: hand it over as its updated route says. */
MUST_CHECK bool parking_enter(struct worker *worker, struct connection *connection);

/* Removes a connection that is about to be closed from the list, if it is there. */
void parking_leave(struct worker *worker, struct connection *connection);

/* Has all parked requests routed again. */
void parking_look(struct worker *worker);

/* Removes from the list and returns the next connection that is ready to be handed over; NULL if
 * there is none. */
struct connection *parking_next(struct worker *worker, uint64_t now_ns);

/* How long the poller may sleep before a parked request times out, in ms; -1: indefinitely. */
int parking_wait_ms(const struct worker *worker);

#endif
