/* SPDX-License-Identifier: MIT */
#include "server/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "core/log.h"
#include "server/connection.h"
#include "server/lane.h"

enum {
    POLLER_ANSWER_MAX = 64 * 1024, /* surely fits into a socket's buffer */
    EVENTS = 64,                   /* taken from epoll at a time */
    BODY_KEPT = 256 * 1024,        /* memory a thread keeps for the next request's body */
    CPU_COUNT_NS = 100000000,      /* how often the CPU time is counted, at most */
    STUCK_CHECK_MS = 1000, /* how often half-sent requests are looked at, while there are any */
};

/* Each kind of work that may wait has handlers of its own: a list or a scrape shall not wait for a
 * disk, for a body that is still on its way, or for a database that does not answer. */
enum { LANE_READS, LANE_CHANGES, LANE_ASKING, LANES, HANDLERS_MAX = LANES * 64 };

/* The signal that gets the acceptor out of accept4(2); it does nothing else. */
#define WAKE_ACCEPTOR SIGUSR2

/* A thread that answers. */
struct server_thread {
    struct worker *worker;
    struct app_session session;
    struct buffer body; /* of the current request */
    pthread_t thread;   /* of a handler */
    struct lane *lane;  /* where a handler takes its requests from */
};

struct worker {
    const struct worker_options *options;
    struct cgi_place place;
    struct app app;
    struct connection_set connections;
    struct lane lanes[LANES]; /* requests for the handlers */
    int epoll_fd;
    int signal_fd;
    int wake_fd; /* an eventfd: a handler closed a connection while draining */
    pthread_t acceptor;
    atomic_bool accepting;
    atomic_bool draining;
    atomic_size_t handed_over; /* requests with the handlers, waiting or being answered */
    struct server_thread poller;
    struct server_thread handlers[HANDLERS_MAX];
    size_t handlers_len;
    size_t partial; /* connections with a request in part */
    uint64_t drain_until_ns;
    uint64_t cpu_counted_ns;
    uint64_t stuck_checked_ns;
    unsigned char look[FASTCGI_LOOK_SIZE];
};

static bool is_draining(const struct worker *worker)
{
    return atomic_load_explicit(&worker->draining, memory_order_relaxed);
}

/* ---- connections ---- */

static void watch(struct worker *worker, struct connection *connection, int operation,
                  uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = connection};
    if (epoll_ctl(worker->epoll_fd, operation, fastcgi_fd(connection->fastcgi), &event) == 0)
        return;
    LOG(LOG_ERROR, "cannot watch a connection", LOG_TEXT("error", strerror(errno)));
    connection_close(&worker->connections, connection);
}

static void take_in(struct worker *worker, int fd)
{
    struct connection *connection =
        connection_open(&worker->connections, fd, worker->options->config->request_timeout_ms);
    if (connection != NULL)
        watch(worker, connection, EPOLL_CTL_ADD, EPOLLIN);
}

/* The acceptor waits in accept4 on purpose: that is where the kernel shares connections out fairly.
 */
static void *accept_connections(void *argument)
{
    struct worker *worker = argument;
    sigset_t wake;
    sigemptyset(&wake);
    sigaddset(&wake, WAKE_ACCEPTOR);
    pthread_sigmask(SIG_UNBLOCK, &wake, NULL);
    while (atomic_load(&worker->accepting)) {
        int fd = accept4(worker->options->listen_fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0) {
            take_in(worker, fd);
        } else if (errno == EAGAIN) { /* another worker, stopping, made the socket non-blocking */
            poll(&(struct pollfd){worker->options->listen_fd, POLLIN, 0}, 1, -1);
        } else if (errno != EINTR && errno != ECONNABORTED) {
            LOG(LOG_ERROR, "cannot accept a connection", LOG_TEXT("error", strerror(errno)));
            nanosleep(&(struct timespec){.tv_nsec = 50 * (long)NS_PER_MS}, NULL);
        }
    }
    return NULL;
}

static void on_wake(int signal)
{
    (void)signal;
}

static bool start_acceptor(struct worker *worker)
{
    struct sigaction action = {.sa_handler = on_wake}; /* no SA_RESTART: accept4 shall return */
    sigaction(WAKE_ACCEPTOR, &action, NULL);
    atomic_store(&worker->accepting, true);
    return pthread_create(&worker->acceptor, NULL, accept_connections, worker) == 0;
}

static void stop_acceptor(struct worker *worker)
{
    atomic_store(&worker->accepting, false);
    /* The signal may come just before accept4 begins: it is sent until the thread is seen to end.
     */
    while (pthread_tryjoin_np(worker->acceptor, NULL) == EBUSY) {
        pthread_kill(worker->acceptor, WAKE_ACCEPTOR);
        nanosleep(&(struct timespec){.tv_nsec = (long)NS_PER_MS}, NULL);
    }
}

/* Takes what connected before the service stopped listening. */
static void accept_queue(struct worker *worker)
{
    int listen_fd = worker->options->listen_fd;
    int flags = fcntl(listen_fd, F_GETFL);
    if (flags < 0 || fcntl(listen_fd, F_SETFL, flags | O_NONBLOCK) != 0)
        return;
    for (;;) {
        int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            take_in(worker, fd);
        else if (errno != EINTR && errno != ECONNABORTED)
            return;
    }
}

/* ---- requests ---- */

enum served {
    SERVED_KEPT,    /* answered; the connection lives on */
    SERVED_ENDED,   /* answered or not; the connection is to be closed */
    SERVED_TOO_LONG /* not answered: a reader would have to be waited for */
};

/* Answers the connection's current request. */
static enum served serve(struct server_thread *thread, struct connection *connection)
{
    struct worker *worker = thread->worker;
    enum served served = SERVED_ENDED;
    if (fastcgi_read_body(connection->fastcgi, &connection->request, &thread->body,
                          worker->options->config->max_body_bytes)) {
        if (!app_handle(&thread->session, &connection->request, &connection->route))
            served = SERVED_TOO_LONG;
        else if (fastcgi_finish(connection->fastcgi, &thread->session.response,
                                is_draining(worker)))
            served = SERVED_KEPT;
        app_finish(&thread->session);
        if (!atomic_load_explicit(&worker->app.broken, memory_order_relaxed))
            atomic_store_explicit(worker->options->served, true, memory_order_relaxed);
    }
    buffer_reset(&thread->body, BODY_KEPT);
    return served;
}

static void *handle_requests(void *argument)
{
    struct server_thread *thread = argument;
    struct worker *worker = thread->worker;
    struct connection *connection;
    while ((connection = lane_take(thread->lane)) != NULL) {
        enum served served = serve(thread, connection);
        atomic_fetch_sub(&worker->handed_over, 1);
        if (served == SERVED_KEPT)
            watch(worker, connection, EPOLL_CTL_ADD, EPOLLIN);
        else
            connection_close(&worker->connections, connection);
        if (is_draining(worker) || atomic_load(&worker->app.broken))
            eventfd_write(worker->wake_fd, 1);
    }
    return NULL;
}

/* Remembers since when a request stands in part, and wakes up only when more of it comes. */
static void wait_for_more(struct worker *worker, struct connection *connection)
{
    if (connection->partial_since_ns != 0)
        return;
    connection->partial_since_ns = clock_steady_ns();
    worker->partial++;
    watch(worker, connection, EPOLL_CTL_MOD, EPOLLIN | EPOLLET);
}

static bool forget_partial(struct worker *worker, struct connection *connection)
{
    if (connection->partial_since_ns == 0)
        return false;
    connection->partial_since_ns = 0;
    worker->partial--;
    return true;
}

static void drop(struct worker *worker, struct connection *connection)
{
    forget_partial(worker, connection);
    connection_close(&worker->connections, connection);
}

/* Takes the connection out of the poller's set until a handler has answered. */
static void hand_over(struct worker *worker, struct connection *connection, bool complete)
{
    size_t lane = LANE_READS;
    if (!complete || connection->route.changes)
        lane = LANE_CHANGES;
    else if (connection->route.asks && worker->options->backend->replicates)
        lane = LANE_ASKING;
    epoll_ctl(worker->epoll_fd, EPOLL_CTL_DEL, fastcgi_fd(connection->fastcgi), NULL);
    atomic_fetch_add(&worker->handed_over, 1);
    lane_put(&worker->lanes[lane], connection);
}

static void serve_at_once(struct worker *worker, struct connection *connection, bool was_partial)
{
    switch (serve(&worker->poller, connection)) {
    case SERVED_KEPT:
        if (was_partial)
            watch(worker, connection, EPOLL_CTL_MOD, EPOLLIN);
        break;
    case SERVED_ENDED:
        connection_close(&worker->connections, connection);
        break;
    case SERVED_TOO_LONG:
        hand_over(worker, connection, true);
        break;
    }
}

static void begin_request(struct worker *worker, struct connection *connection, bool complete)
{
    bool was_partial = forget_partial(worker, connection);
    if (!fastcgi_begin(connection->fastcgi, &worker->place, &connection->request)) {
        connection_close(&worker->connections, connection);
        return;
    }
    connection->route = app_route(&connection->request);
    if (complete && !connection->route.may_wait)
        serve_at_once(worker, connection, was_partial);
    else
        hand_over(worker, connection, complete);
}

static void look_at(struct worker *worker, struct connection *connection)
{
    switch (fastcgi_look(connection->fastcgi, worker->look)) {
    case FASTCGI_WAITING:
        wait_for_more(worker, connection);
        break;
    case FASTCGI_STREAMING:
        begin_request(worker, connection, false);
        break;
    case FASTCGI_COMPLETE:
        begin_request(worker, connection, true);
        break;
    case FASTCGI_GONE:
        drop(worker, connection);
        break;
    }
}

/* Ends connections whose request has stood in part for too long. */
static void drop_stuck(struct worker *worker, uint64_t now_ns)
{
    struct connection *stuck[EVENTS];
    uint64_t timeout_ns = worker->options->config->request_timeout_ms * NS_PER_MS;
    if (worker->partial == 0 || now_ns < timeout_ns ||
        now_ns - worker->stuck_checked_ns < STUCK_CHECK_MS * NS_PER_MS)
        return;
    worker->stuck_checked_ns = now_ns;
    size_t len =
        connection_find_stuck(&worker->connections, now_ns - timeout_ns, stuck, ARRAY_LEN(stuck));
    for (size_t i = 0; i < len; i++)
        drop(worker, stuck[i]);
}

/* ---- the poller ---- */

static void start_draining(struct worker *worker, bool take_queue)
{
    if (is_draining(worker))
        return;
    atomic_store(&worker->draining, true);
    atomic_store(&worker->app.stopping,
                 take_queue); /* else others stay, and the service is ready */
    worker->drain_until_ns = clock_after_ms(worker->options->config->drain_timeout_ms);
    stop_acceptor(worker);
    app_retire(&worker->app);
    if (take_queue)
        accept_queue(worker);
    close(worker->options->listen_fd);
    if (worker->options->ready_fd >= 0)
        close(worker->options->ready_fd);
}

static void read_signal(struct worker *worker)
{
    struct signalfd_siginfo info;
    if (read(worker->signal_fd, &info, sizeof info) == (ssize_t)sizeof info)
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

/* How long epoll may wait, in ms; -1: for ever. */
static int wait_ms(const struct worker *worker)
{
    if (is_draining(worker)) {
        int left_ms = clock_ms_until(worker->drain_until_ns);
        return left_ms < STUCK_CHECK_MS ? left_ms : STUCK_CHECK_MS;
    }
    return worker->partial > 0 ? STUCK_CHECK_MS : -1;
}

static void count_cpu(struct worker *worker, uint64_t now_ns)
{
    if (now_ns - worker->cpu_counted_ns < CPU_COUNT_NS)
        return;
    worker->cpu_counted_ns = now_ns;
    metrics_count_cpu(&worker->poller.session.slot);
}

/* The event loop, until draining is over. */
static void poll_connections(struct worker *worker)
{
    struct epoll_event events[EVENTS];
    uint64_t now_ns = clock_steady_ns();
    while (!is_draining(worker) || connection_count(&worker->connections) > 0) {
        if (is_draining(worker) && now_ns >= worker->drain_until_ns)
            return;
        int len = epoll_wait(worker->epoll_fd, events, EVENTS, wait_ms(worker));
        now_ns = clock_steady_ns();
        count_cpu(worker, now_ns);
        log_hold();
        for (int i = 0; i < len; i++)
            handle_event(worker, &events[i]);
        log_release();
        drop_stuck(worker, now_ns);
        if (atomic_load(&worker->app.broken) && !is_draining(worker)) {
            log_message(LOG_CRITICAL, "the store is broken: this worker ends");
            start_draining(worker, false);
        }
    }
}

/* ---- start and end ---- */

/* Events of a descriptor that is no connection come with the address of its member as their mark.
 */
static bool watch_fd(struct worker *worker, int fd, void *mark)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = mark};
    return fd >= 0 && epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

static bool open_descriptors(struct worker *worker)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, WORKER_END);
    worker->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    worker->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    worker->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return worker->epoll_fd >= 0 && watch_fd(worker, worker->signal_fd, &worker->signal_fd) &&
           watch_fd(worker, worker->wake_fd, &worker->wake_fd);
}

static bool start_thread(struct worker *worker, struct server_thread *thread, size_t answer_max)
{
    thread->worker = worker;
    return app_session_open(&worker->app, &thread->session, answer_max);
}

static bool start_handler(struct worker *worker, struct lane *lane)
{
    struct server_thread *thread = &worker->handlers[worker->handlers_len];
    thread->lane = lane;
    if (!start_thread(worker, thread, SIZE_MAX))
        return false;
    if (pthread_create(&thread->thread, NULL, handle_requests, thread) != 0) {
        app_session_close(&thread->session);
        return false;
    }
    worker->handlers_len++;
    return true;
}

static bool start_handlers(struct worker *worker)
{
    size_t lanes = worker->options->backend->replicates ? LANES : LANE_ASKING;
    for (uint64_t i = 0; i < worker->options->config->threads; i++)
        for (size_t lane = 0; lane < lanes; lane++)
            if (!start_handler(worker, &worker->lanes[lane]))
                return false;
    return true;
}

static void end_thread(struct server_thread *thread)
{
    buffer_release(&thread->body);
    app_session_close(&thread->session);
}

static void stop_handlers(struct worker *worker)
{
    for (size_t i = 0; i < LANES; i++)
        lane_close(&worker->lanes[i]);
    for (size_t i = 0; i < worker->handlers_len; i++) {
        pthread_join(worker->handlers[i].thread, NULL);
        end_thread(&worker->handlers[i]);
    }
}

static void tell_ready(const struct worker_options *options)
{
    if (options->ready_fd < 0)
        return;
    ssize_t written = write(options->ready_fd, "", 1);
    (void)written; /* nobody reads it any more: then nobody waits for it */
}

/* Serves, once the poller has its session. */
static int run_threads(struct worker *worker)
{
    int status = WORKER_UNUSABLE;
    if (start_handlers(worker) && start_acceptor(worker)) {
        tell_ready(worker->options);
        poll_connections(worker);
        size_t cut_off = atomic_load(&worker->handed_over) + worker->partial;
        status = cut_off > 0 || atomic_load(&worker->app.broken) ? WORKER_FAILED : WORKER_DONE;
        if (cut_off > 0)
            LOG(LOG_ERROR, "DRAIN_TIMEOUT is over: requests are cut off",
                LOG_NUMBER("requests", cut_off));
    } else {
        log_message(LOG_CRITICAL, "cannot start the threads: lower WORKERS or THREADS");
    }
    stop_handlers(worker);
    return status;
}

static int open_and_run(struct worker *worker)
{
    const struct worker_options *options = worker->options;
    struct store_options store = app_store_options(options->config);
    char error[512];
    if (options->hosted) /* how many there are, nobody knows: each has few connections */
        store.database.processes = store.database.connections;
    if (!app_open(&worker->app, options->config, options->backend, &store, options->started_us,
                  error, sizeof error)) {
        LOG(LOG_CRITICAL, "cannot start", LOG_TEXT("error", error));
        return WORKER_UNUSABLE;
    }
    worker->app.service_stopping = options->stopping;
    int status = WORKER_UNUSABLE;
    if (start_thread(worker, &worker->poller, POLLER_ANSWER_MAX)) {
        status = run_threads(worker);
        end_thread(&worker->poller);
    } else {
        log_message(LOG_CRITICAL, "cannot open a session of the store");
    }
    connection_set_release(&worker->connections);
    app_close(&worker->app);
    return status;
}

static int run(struct worker *worker)
{
    if (!fastcgi_init() || !open_descriptors(worker)) {
        LOG(LOG_CRITICAL, "cannot start", LOG_TEXT("error", strerror(errno)));
        return WORKER_UNUSABLE;
    }
    int status = open_and_run(worker);
    fastcgi_end();
    return status;
}

int worker_run(const struct worker_options *options)
{
    struct worker *worker = calloc(1, sizeof *worker);
    if (worker == NULL) {
        log_message(LOG_CRITICAL, "cannot start: no memory");
        return WORKER_UNUSABLE;
    }
    worker->options = options;
    worker->place =
        (struct cgi_place){str_from(options->config->root_path), .by_script = options->hosted};
    worker->epoll_fd = worker->signal_fd = worker->wake_fd = -1;
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < LANES; i++)
        lane_init(&worker->lanes[i]);
    connection_set_init(&worker->connections);
    int status = run(worker);
    for (size_t i = 0; i < LANES; i++)
        lane_release(&worker->lanes[i]);
    int fds[] = {worker->epoll_fd, worker->signal_fd, worker->wake_fd};
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
    free(worker);
    return status;
}
