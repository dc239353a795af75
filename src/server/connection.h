/* SPDX-License-Identifier: MIT
 *
 * The connections of a worker. Each belongs to one thread at a time: the poller while it is
 * watched, a handler while it is answered. */
#ifndef SERVER_CONNECTION_H
#define SERVER_CONNECTION_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "app/app.h"
#include "model/http.h"
#include "server/fastcgi.h"

struct connection {
    struct fastcgi *fastcgi;
    struct http_request request; /* the current one */
    struct app_route route;
    uint64_t partial_since_ns; /* when a request was first seen in part; 0: none is */
    struct connection *queued_next;
    bool is_parked; /* the current request waits for a commit */
    struct connection *parked_previous;
    struct connection *parked_next;
    struct connection *previous; /* in the set */
    struct connection *next;
};

/* All connections of a process; any thread may add and remove. */
struct connection_set {
    pthread_mutex_t lock;
    struct connection *first;
    size_t count;
};

void connection_set_init(struct connection_set *set);

/* Takes over an accepted socket, as fastcgi_open does. NULL: no memory. */
MUST_CHECK struct connection *connection_open(struct connection_set *set, int fd,
                                              uint64_t timeout_ms);
void connection_close(struct connection_set *set, struct connection *connection);

/* Finds up to `max` connections on which a request stands in part since before `before_ns`; for the
 * thread that watches them. Returns how many it put into `found`. */
size_t connection_find_stuck(struct connection_set *set, uint64_t before_ns,
                             struct connection **found, size_t max);

size_t connection_count(struct connection_set *set);

/* Closes all that are left; no other thread uses them any more. */
void connection_set_release(struct connection_set *set);

#endif
