/* SPDX-License-Identifier: MIT
 *
 * A FIFO queue that hands connections from one thread to others, which block while it is empty. */
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

/* Waits for a connection; returns NULL if the lane has been closed. */
struct connection *lane_take(struct lane *lane);

/* Wakes all waiting threads for good; queued connections are not handed out any more. */
void lane_close(struct lane *lane);
void lane_release(struct lane *lane);

#endif
