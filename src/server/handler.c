/* SPDX-License-Identifier: MIT */
#include "server/handler.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "core/log.h"
#include "server/poller.h"

enum {
    BODY_KEPT = 256 * 1024, /* memory that a thread keeps for later request bodies */
    PROBE_THREADS = 2       /* a scrape, and a probe that waits for the database */
};

/* Whether to answer the request. A change is not made after its sender has given up: the request
 * may have waited in the socket's queue while this service was stopped. */
static bool is_awaited(const struct connection *connection)
{
    if (connection->route.where != APP_CHANGES || fastcgi_is_awaited(connection->fastcgi))
        return true;
    log_message(LOG_INFO, "a change was dropped: its sender has gone");
    return false;
}

static bool goes_on(const struct http_response *response)
{
    return response->part == HTTP_FIRST_PART || response->part == HTTP_NEXT_PART;
}

static enum handler_outcome send_answer(struct server_thread *thread, struct connection *connection)
{
    const struct http_response *response = &thread->session.response;
    connection->request.stream = response->stream;
    if (goes_on(response))
        return fastcgi_send_part(connection->fastcgi, response) ? HANDLER_GOES_ON : HANDLER_ENDED;
    connection->request.stream.begun = false;
    return fastcgi_finish(connection->fastcgi, response, worker_is_draining(thread->worker))
               ? HANDLER_KEPT
               : HANDLER_ENDED;
}

enum handler_outcome handler_serve(struct server_thread *thread, struct connection *connection)
{
    struct worker *worker = thread->worker;
    enum handler_outcome outcome = HANDLER_ENDED;
    if ((connection->request.stream.begun ||
         fastcgi_read_body(connection->fastcgi, &connection->request, &thread->body,
                           worker->options->parts->config->max_body_bytes)) &&
        is_awaited(connection)) {
        if (!app_handle(&thread->session, &connection->request, &connection->route))
            outcome = HANDLER_TOO_LONG;
        else
            outcome = send_answer(thread, connection);
        app_finish(&thread->session);
        if (!atomic_load_explicit(&worker->app.service.broken, memory_order_relaxed))
            atomic_store_explicit(worker->options->served, true, memory_order_relaxed);
    }
    buffer_reset(&thread->body, BODY_KEPT);
    return outcome;
}

static void *handle_requests(void *argument)
{
    struct server_thread *thread = argument;
    struct worker *worker = thread->worker;
    struct connection *connection;
    while ((connection = lane_take(thread->lane)) != NULL) {
        enum handler_outcome outcome = handler_serve(thread, connection);
        atomic_fetch_sub(&worker->handed_over, 1);
        if (outcome == HANDLER_KEPT)
            poller_watch(worker, connection, EPOLL_CTL_ADD, EPOLLIN);
        else if (outcome == HANDLER_GOES_ON) /* when its reader can take more */
            poller_watch(worker, connection, EPOLL_CTL_ADD, EPOLLOUT);
        else
            connection_close(&worker->connections, connection);
        if (worker_is_draining(worker) || atomic_load(&worker->app.service.broken))
            eventfd_write(worker->wake_fd, 1);
    }
    return NULL;
}

bool handler_open(struct worker *worker, struct server_thread *thread, size_t answer_max)
{
    thread->worker = worker;
    return app_session_open(&worker->app, &thread->session, answer_max);
}

void handler_close(struct server_thread *thread)
{
    buffer_release(&thread->body);
    app_session_close(&thread->session);
}

static bool start_one(struct worker *worker, struct lane *lane)
{
    struct server_thread *thread = &worker->handlers[worker->handlers_len];
    thread->lane = lane;
    if (!handler_open(worker, thread, SIZE_MAX))
        return false;
    if (pthread_create(&thread->thread, NULL, handle_requests, thread) != 0) {
        handler_close(thread);
        return false;
    }
    worker->handlers_len++;
    return true;
}

static bool start(struct worker *worker, enum app_where where, uint64_t threads)
{
    for (uint64_t i = 0; i < threads; i++)
        if (!start_one(worker, &worker->lanes[where]))
            return false;
    return true;
}

bool handler_start_all(struct worker *worker)
{
    uint64_t threads = worker->options->parts->config->threads;
    return start(worker, APP_READS, threads) && start(worker, APP_CHANGES, threads) &&
           start(worker, APP_PROBES, PROBE_THREADS) &&
           (!service_replicates(&worker->app.service) || start(worker, APP_DATABASE, threads));
}

void handler_stop_all(struct worker *worker)
{
    for (size_t i = 0; i < LANES; i++)
        lane_close(&worker->lanes[i]);
    for (size_t i = 0; i < worker->handlers_len; i++) {
        pthread_join(worker->handlers[i].thread, NULL);
        handler_close(&worker->handlers[i]);
    }
}
