/* SPDX-License-Identifier: MIT */
#include "server/poller.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "core/log.h"
#include "server/acceptor.h"
#include "server/handler.h"
#include "server/parking.h"

enum {
    EVENTS = 64,              /* fetched from epoll at a time */
    STORE_WATCH_MS = 1000,    /* interval between looks at the store, and at what waits */
    CPU_COUNT_MS = 100,       /* minimum interval between updates of the CPU time */
    COLLECTED_MAX = 64 << 20, /* bytes of requests that are arriving, but for one of the longest */
    STUCK_CHECK_MS = 1000, /* interval between checks for stuck requests, if any are incomplete */
};

/* ---- connections ---- */

void poller_watch(struct worker *worker, struct connection *connection, int operation,
                  uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = connection};
    if (epoll_ctl(worker->epoll_fd, operation, fastcgi_fd(connection->fastcgi), &event) == 0)
        return;
    LOG(LOG_ERROR, "cannot watch a connection", LOG_TEXT("error", strerror(errno)));
    connection_close(&worker->connections, connection);
}

void poller_take_in(struct worker *worker, int fd)
{
    struct connection *connection = connection_open(
        &worker->connections, fd, worker->options->parts->config->request_timeout_ms);
    if (connection != NULL)
        poller_watch(worker, connection, EPOLL_CTL_ADD, EPOLLIN);
}

/* Notes when an incomplete request was first seen, and waits (edge-triggered) for more of it. */
static void wait_for_more(struct worker *worker, struct connection *connection)
{
    if (connection->partial_since_ns != 0)
        return;
    connection->partial_since_ns = clock_steady_ns();
    worker->partial++;
    poller_watch(worker, connection, EPOLL_CTL_MOD, EPOLLIN | EPOLLET);
}

static bool forget_partial(struct worker *worker, struct connection *connection)
{
    worker->collected -= fastcgi_collected(connection->fastcgi);
    if (connection->partial_since_ns == 0)
        return false;
    connection->partial_since_ns = 0;
    worker->partial--;
    return true;
}

static void drop(struct worker *worker, struct connection *connection)
{
    forget_partial(worker, connection);
    parking_leave(worker, connection);
    connection_close(&worker->connections, connection);
}

/* Closes connections whose request has been incomplete for too long. */
static void drop_stuck(struct worker *worker, uint64_t now_ns)
{
    struct connection *stuck[EVENTS];
    uint64_t timeout_ns = worker->options->parts->config->request_timeout_ms * NS_PER_MS;
    if (worker->partial == 0 || now_ns < timeout_ns ||
        now_ns - worker->stuck_checked_ns < STUCK_CHECK_MS * NS_PER_MS)
        return;
    worker->stuck_checked_ns = now_ns;
    size_t len =
        connection_find_stuck(&worker->connections, now_ns - timeout_ns, stuck, ARRAY_LEN(stuck));
    for (size_t i = 0; i < len; i++)
        drop(worker, stuck[i]);
}

/* ---- requests ---- */

/* Stops watching the connection until a handler has answered. */
static void hand_over(struct worker *worker, struct connection *connection)
{
    epoll_ctl(worker->epoll_fd, EPOLL_CTL_DEL, fastcgi_fd(connection->fastcgi), NULL);
    atomic_fetch_add(&worker->handed_over, 1);
    lane_put(&worker->lanes[connection->route.where], connection);
}

static void serve_at_once(struct worker *worker, struct connection *connection, bool watch_again)
{
    switch (handler_serve(&worker->poller, connection)) {
    case HANDLER_KEPT:
        if (watch_again)
            poller_watch(worker, connection, EPOLL_CTL_MOD, EPOLLIN);
        break;
    case HANDLER_GOES_ON:
        poller_watch(worker, connection, EPOLL_CTL_MOD, EPOLLOUT);
        break;
    case HANDLER_ENDED:
        connection_close(&worker->connections, connection);
        break;
    case HANDLER_TOO_LONG:
        connection->route.where = APP_READS;
        hand_over(worker, connection);
        break;
    }
}

/* Answers a request, or its next part, or has it wait. `watched_for_more`: see wait_for_more. */
static void route_request(struct worker *worker, struct connection *connection,
                          bool watched_for_more)
{
    connection->route = app_route(&worker->poller.session, &connection->request);
    if (connection->route.where == APP_AT_ONCE)
        serve_at_once(worker, connection, watched_for_more);
    else if (connection->route.where != APP_PARKED || !parking_enter(worker, connection))
        hand_over(worker, connection);
}

static void begin_request(struct worker *worker, struct connection *connection)
{
    bool was_partial = forget_partial(worker, connection);
    if (!fastcgi_begin(connection->fastcgi, &worker->place, &connection->request)) {
        connection_close(&worker->connections, connection);
        return;
    }
    route_request(worker, connection, was_partial);
}

/* Looks at what has come of a request, and counts what is collected of it. */
static enum fastcgi_arrival look(struct worker *worker, struct connection *connection)
{
    const struct config *config = worker->options->parts->config;
    size_t before = fastcgi_collected(connection->fastcgi);
    enum fastcgi_arrival arrival =
        fastcgi_look(connection->fastcgi, worker->look, config->max_body_bytes);
    worker->collected += fastcgi_collected(connection->fastcgi) - before;
    if (worker->collected <= COLLECTED_MAX + config->max_body_bytes)
        return arrival;
    log_message(LOG_WARNING, "too many long requests are arriving at once: one was dropped");
    return FASTCGI_GONE;
}

static void look_at(struct worker *worker, struct connection *connection)
{
    if (connection->is_parked) { /* no more data is expected: it was closed */
        drop(worker, connection);
        return;
    }
    if (connection->request.stream.begun) { /* its reader has taken what was sent */
        route_request(worker, connection, true);
        return;
    }
    switch (look(worker, connection)) {
    case FASTCGI_WAITING:
        wait_for_more(worker, connection);
        break;
    case FASTCGI_MORE:
        wait_for_more(worker, connection);
        poller_watch(worker, connection, EPOLL_CTL_MOD, EPOLLIN | EPOLLET); /* reports it again */
        break;
    case FASTCGI_COMPLETE:
        begin_request(worker, connection);
        break;
    case FASTCGI_GONE:
        drop(worker, connection);
        break;
    }
}

/* Hands over parked requests that need not wait any longer. */
static void end_parking(struct worker *worker, uint64_t now_ns)
{
    struct connection *connection;
    while ((connection = parking_next(worker, now_ns)) != NULL)
        hand_over(worker, connection);
}

/* ---- draining ---- */

static void start_draining(struct worker *worker, bool take_queue)
{
    if (worker_is_draining(worker))
        return;
    atomic_store(&worker->draining, true);
    atomic_store(&worker->app.leaving, true);
    /* If other workers stay, the service remains ready. */
    atomic_store(&worker->app.stopping, take_queue);
    worker->drain_until_ns = clock_after_ms(worker->options->parts->config->drain_timeout_ms);
    acceptor_stop(worker);
    service_retire(&worker->app.service);
    if (take_queue)
        acceptor_take_queue(worker);
    close(worker->options->listen_fd);
    if (worker->options->ready_fd >= 0)
        close(worker->options->ready_fd);
}

/* ---- events ---- */

static void read_signal(struct worker *worker)
{
    struct signalfd_siginfo info;
    if (read(worker->signal_fd, &info, sizeof info) != (ssize_t)sizeof info)
        return;
    if (info.ssi_signo == WORKER_LEAVE)
        atomic_store(&worker->app.leaving, true);
    else
        start_draining(worker, worker->options->hosted || info.ssi_signo == WORKER_END);
}

static void handle_event(struct worker *worker, const struct epoll_event *event)
{
    eventfd_t count;
    if (event->data.ptr == &worker->signal_fd)
        read_signal(worker);
    else if (event->data.ptr == &worker->wake_fd)
        eventfd_read(worker->wake_fd, &count);
    else
        look_at(worker, event->data.ptr);
}

/* How long epoll may wait, in ms: until the store is looked at, or stuck requests, or less. */
static int wait_ms(const struct worker *worker)
{
    int wait = worker_is_draining(worker) ? clock_ms_until(worker->drain_until_ns)
                                          : parking_wait_ms(worker);
    return wait < 0 || wait > STORE_WATCH_MS ? STORE_WATCH_MS : wait;
}

static void count_cpu(struct worker *worker, uint64_t now_ns)
{
    if (now_ns - worker->cpu_counted_ns < CPU_COUNT_MS * NS_PER_MS)
        return;
    worker->cpu_counted_ns = now_ns;
    metrics_count_cpu(&worker->poller.session.slot);
}

/* Looks whether the store is what it was (a file can be shortened, removed or replaced under us),
 * and whether the keys are. */
static void watch_files(struct worker *worker, uint64_t now_ns)
{
    struct store_stats stats;
    if (now_ns - worker->store_seen_ns < STORE_WATCH_MS * NS_PER_MS)
        return;
    worker->store_seen_ns = now_ns;
    (void)service_stats(&worker->poller.session.service, &stats); /* marks a broken store */
    if (keyring_look(worker->options->parts->keyring))
        parking_look(worker);
}

static void drain_if_broken(struct worker *worker)
{
    if (!atomic_load(&worker->app.service.broken) || worker_is_draining(worker))
        return;
    log_message(LOG_CRITICAL, "the store is broken: this worker ends");
    start_draining(worker, false);
}

void poller_run(struct worker *worker)
{
    struct epoll_event events[EVENTS];
    uint64_t now_ns = clock_steady_ns();
    while (!worker_is_draining(worker) || connection_count(&worker->connections) > 0) {
        if (worker_is_draining(worker) && now_ns >= worker->drain_until_ns)
            return;
        int len = epoll_wait(worker->epoll_fd, events, EVENTS, wait_ms(worker));
        now_ns = clock_steady_ns();
        count_cpu(worker, now_ns);
        watch_files(worker, now_ns);
        log_hold();
        for (int i = 0; i < len; i++)
            handle_event(worker, &events[i]);
        log_release();
        end_parking(worker, now_ns);
        drop_stuck(worker, now_ns);
        drain_if_broken(worker);
    }
}

/* ---- opening and closing ---- */

/* Watches a descriptor that is not a connection. Its events carry the address of its member in
 * struct worker. */
static bool watch_fd(struct worker *worker, int fd, void *mark)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = mark};
    return fd >= 0 && epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

bool poller_open(struct worker *worker)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, WORKER_END);
    sigaddset(&signals, WORKER_LEAVE);
    worker->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    worker->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    worker->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return worker->epoll_fd >= 0 && watch_fd(worker, worker->signal_fd, &worker->signal_fd) &&
           watch_fd(worker, worker->wake_fd, &worker->wake_fd);
}

void poller_close(struct worker *worker)
{
    int fds[] = {worker->epoll_fd, worker->signal_fd, worker->wake_fd};
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
}
