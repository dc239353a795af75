/* SPDX-License-Identifier: MIT
 *
 * The connections of a worker. A connection belongs to one thread at a time: the poller while it is
 * being watched, a handler while its request is being answered. */
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
    struct http_request request; /* the current request */
    struct app_route route;
    uint64_t partial_since_ns; /* when an incomplete request was first seen; 0: there is none */
    struct connection *queued_next;
    bool is_parked; /* the current request is waiting for a commit */
    struct connection *parked_previous;
    struct connection *parked_next;
    struct connection *previous; /* neighbours in the set */
    struct connection *next;
};

/* All connections of a process. Any thread may add and remove connections. */
struct connection_set {
    pthread_mutex_t lock;
    struct connection *first;
    size_t count;
};

void connection_set_init(struct connection_set *set);

/* Takes ownership of an accepted socket, as fastcgi_open does. Returns NULL if memory is lacking;
 * the socket is then closed. */
MUST_CHECK struct connection *connection_open(struct connection_set *set, int fd,
                                              uint64_t timeout_ms);
void connection_close(struct connection_set *set, struct connection *connection);

/* Finds up to `max` connections whose request has been incomplete since before `before_ns`, and
 * returns their number. Only for the thread that watches the connections. */
size_t connection_find_stuck(struct connection_set *set, uint64_t before_ns,
                             struct connection **found, size_t max);

size_t connection_count(struct connection_set *set);

/* Closes all remaining connections; no other thread may still use them. */
void connection_set_release(struct connection_set *set);

#endif
