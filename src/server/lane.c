/* SPDX-License-Identifier: MIT */
#include "server/lane.h"

void lane_init(struct lane *lane)
{
    *lane = (struct lane){0};
    pthread_mutex_init(&lane->lock, NULL);
    pthread_cond_init(&lane->changed, NULL);
}

void lane_put(struct lane *lane, struct connection *connection)
{
    connection->queued_next = NULL;
    pthread_mutex_lock(&lane->lock);
    if (lane->first == NULL)
        lane->first = connection;
    else
        lane->last->queued_next = connection;
    lane->last = connection;
    pthread_cond_signal(&lane->changed);
    pthread_mutex_unlock(&lane->lock);
}

struct connection *lane_take(struct lane *lane)
{
    pthread_mutex_lock(&lane->lock);
    while (lane->first == NULL && !lane->closed)
        pthread_cond_wait(&lane->changed, &lane->lock);
    struct connection *connection = lane->closed ? NULL : lane->first;
    if (connection != NULL)
        lane->first = connection->queued_next;
    pthread_mutex_unlock(&lane->lock);
    return connection;
}

void lane_close(struct lane *lane)
{
    pthread_mutex_lock(&lane->lock);
    lane->closed = true;
    pthread_cond_broadcast(&lane->changed);
    pthread_mutex_unlock(&lane->lock);
}

void lane_release(struct lane *lane)
{
    pthread_cond_destroy(&lane->changed);
    pthread_mutex_destroy(&lane->lock);
}
