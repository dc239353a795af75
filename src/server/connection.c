/* SPDX-License-Identifier: MIT */
#include "server/connection.h"

#include <stdlib.h>
#include <unistd.h>

void connection_set_init(struct connection_set *set)
{
    *set = (struct connection_set){0};
    pthread_mutex_init(&set->lock, NULL);
}

struct connection *connection_open(struct connection_set *set, int fd, uint64_t timeout_ms)
{
    struct connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL) {
        close(fd);
        return NULL;
    }
    connection->fastcgi = fastcgi_open(fd, timeout_ms);
    if (connection->fastcgi == NULL) {
        free(connection);
        return NULL;
    }
    pthread_mutex_lock(&set->lock);
    connection->next = set->first;
    if (set->first != NULL)
        set->first->previous = connection;
    set->first = connection;
    set->count++;
    pthread_mutex_unlock(&set->lock);
    return connection;
}

void connection_close(struct connection_set *set, struct connection *connection)
{
    fastcgi_close(connection->fastcgi);
    pthread_mutex_lock(&set->lock);
    if (connection->next != NULL)
        connection->next->previous = connection->previous;
    if (connection->previous != NULL)
        connection->previous->next = connection->next;
    else
        set->first = connection->next;
    set->count--;
    pthread_mutex_unlock(&set->lock);
    free(connection);
}

size_t connection_find_stuck(struct connection_set *set, uint64_t before_ns,
                             struct connection **found, size_t max)
{
    size_t len = 0;
    pthread_mutex_lock(&set->lock);
    for (struct connection *at = set->first; at != NULL && len < max; at = at->next)
        if (at->partial_since_ns != 0 && at->partial_since_ns < before_ns)
            found[len++] = at;
    pthread_mutex_unlock(&set->lock);
    return len;
}

size_t connection_count(struct connection_set *set)
{
    pthread_mutex_lock(&set->lock);
    size_t count = set->count;
    pthread_mutex_unlock(&set->lock);
    return count;
}

void connection_set_release(struct connection_set *set)
{
    while (set->first != NULL)
        connection_close(set, set->first);
    pthread_mutex_destroy(&set->lock);
}
