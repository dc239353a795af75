/* SPDX-License-Identifier: MIT */
#include "main/hosted.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/app.h"
#include "base/clock.h"
#include "core/log.h"
#include "server/cgi.h"
#include "server/worker.h"

bool hosted_by_fastcgi(void)
{
    int listens = 0;
    socklen_t len = sizeof listens;
    return getsockopt(STDIN_FILENO, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) == 0 && listens != 0;
}

bool hosted_by_cgi(void)
{
    return getenv("GATEWAY_INTERFACE") != NULL && getenv("REQUEST_METHOD") != NULL;
}

/* ---- a follower in a thread, for there is nobody to fork one ---- */

struct companion {
    const struct store_backend *backend;
    struct store_options options;
    struct store_follow follow;
    int ready_fd; /* an eventfd */
    pthread_t thread;
};

static void tell_ready(void *context)
{
    eventfd_write(((struct companion *)context)->ready_fd, 1);
}

static void *follow(void *argument)
{
    struct companion *companion = argument;
    char error[512] = "";
    if (!companion->backend->follow(&companion->options, &companion->follow, error, sizeof error))
        LOG(LOG_CRITICAL, "cannot follow the database", LOG_TEXT("error", error));
    return NULL;
}

/* Starts it, and waits for a replica as long as a request would wait for the database. */
static bool start_companion(struct companion *companion, const struct config *config)
{
    companion->follow.stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    companion->ready_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (companion->follow.stop_fd < 0 || companion->ready_fd < 0 ||
        pthread_create(&companion->thread, NULL, follow, companion) != 0)
        return false;
    poll(&(struct pollfd){companion->ready_fd, POLLIN, 0}, 1, (int)config->db_timeout_ms);
    return true;
}

static void stop_companion(struct companion *companion)
{
    eventfd_write(companion->follow.stop_fd, 1);
    pthread_join(companion->thread, NULL);
    close(companion->follow.stop_fd);
    close(companion->ready_fd);
}

/* ---- FastCGI ---- */

/* A worker reads signals, and a web server may have left some ignored. */
static void prepare_signals(void)
{
    const int signals[] = {SIGTERM, SIGINT, WORKER_END};
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        signal(signals[i], SIG_DFL);
}

static int serve(const struct config *config, const struct store_backend *backend)
{
    static atomic_bool stopping;
    static atomic_bool served;
    struct worker_options options = {
        .config = config,
        .backend = backend,
        .listen_fd = STDIN_FILENO,
        .ready_fd = -1,
        .started_us = clock_wall_us(),
        .hosted = true,
        .stopping = &stopping,
        .served = &served,
    };
    struct companion companion = {
        .backend = backend,
        .options = app_store_options(config),
        .follow = {.defaults = app_defaults,
                   .defaults_len = config->seed_defaults ? app_defaults_len : 0,
                   .ready = tell_ready,
                   .context = &companion},
    };
    prepare_signals();
    if (backend->follow == NULL)
        return worker_run(&options);
    if (!start_companion(&companion, config)) {
        LOG(LOG_CRITICAL, "cannot start", LOG_TEXT("error", strerror(errno)));
        return EXIT_FAILURE;
    }
    int status = worker_run(&options);
    stop_companion(&companion);
    return status;
}

int hosted_refuse(void)
{
    if (hosted_by_cgi())
        cgi_refuse();
    return EXIT_FAILURE;
}

int hosted_run(const struct config *config, const struct store_backend *backend)
{
    const char *directory = getenv("STATE_DIR");
    log_open((enum log_level)config->log_level, STDERR_FILENO);
    /* The default would lie among the files that the web server shows to everybody. */
    if (directory == NULL || directory[0] == '\0') {
        log_message(LOG_CRITICAL, "STATE_DIR is not set: set it to a directory outside of the web "
                                  "server's files");
    } else if (mkdir(config->state_dir, 0750) != 0 && errno != EEXIST) {
        LOG(LOG_CRITICAL, "cannot create STATE_DIR", LOG_TEXT("error", strerror(errno)));
    } else {
        return hosted_by_cgi() ? cgi_serve(config, backend) : serve(config, backend);
    }
    return hosted_refuse();
}
