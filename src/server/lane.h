/* SPDX-License-Identifier: MIT
 *
 * Connections handed from one thread to others: a first-in-first-out queue that its takers wait on.
 */
#ifndef SERVER_LANE_H
#define SERVER_LANE_H

#include <pthread.h>
#include <stdbool.h>

#include "server/connection.h"

struct lane {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct connection *first;
    struct connection *last;
    bool closed;
};

void lane_init(struct lane *lane);
void lane_put(struct lane *lane, struct connection *connection);

/* Waits for a connection; NULL when the lane was closed. */
struct connection *lane_take(struct lane *lane);

/* Wakes all takers for good; what is queued stays untaken. */
void lane_close(struct lane *lane);
void lane_release(struct lane *lane);

#endif
