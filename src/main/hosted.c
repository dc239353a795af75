/* SPDX-License-Identifier: MIT */
#include "main/hosted.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/directory.h"
#include "core/log.h"
#include "main/listener.h"
#include "server/follower.h"
#include "server/oneshot.h"
#include "server/worker.h"
#include "service/service.h"

bool hosted_by_fastcgi(void)
{
    return listener_is(STDIN_FILENO);
}

bool hosted_by_cgi(void)
{
    return getenv("GATEWAY_INTERFACE") != NULL && getenv("REQUEST_METHOD") != NULL;
}

/* ---- the follower, if the store has one ---- */

struct companion {
    pid_t pid;
    pthread_t watcher;
    atomic_bool stopping;
};

static void become_follower(const struct app_parts *parts, pid_t parent, int ready_fd)
{
    struct follower_options options = {.parts = parts, .ready_fd = ready_fd};
    prctl(PR_SET_PDEATHSIG, WORKER_END);
    close(STDIN_FILENO);
    if (getppid() != parent) /* it died before prctl(2), so no signal will come */
        exit(WORKER_DONE);
    exit(follower_run(&options));
}

/* Without a follower, the replica would grow old unnoticed: the worker ends too, and the web server
 * starts another. */
static void *watch_follower(void *argument)
{
    struct companion *companion = argument;
    int status;
    while (waitpid(companion->pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (atomic_load(&companion->stopping))
        return NULL;
    log_message(LOG_ERROR, "the follower ended by itself: this process ends too");
    kill(getpid(), SIGTERM);
    return NULL;
}

/* Starts it, and waits for a replica as long as a request would wait for the database. */
static bool start_companion(struct companion *companion, const struct app_parts *parts)
{
    int ready[2];
    pid_t parent = getpid();
    if (pipe2(ready, O_CLOEXEC) != 0)
        return false;
    companion->pid = fork();
    if (companion->pid == 0) {
        close(ready[0]);
        become_follower(parts, parent, ready[1]);
    }
    close(ready[1]);
    if (companion->pid > 0)
        poll(&(struct pollfd){ready[0], POLLIN, 0}, 1, (int)parts->config->db_timeout_ms);
    close(ready[0]);
    return companion->pid > 0 &&
           pthread_create(&companion->watcher, NULL, watch_follower, companion) == 0;
}

static void stop_companion(struct companion *companion)
{
    atomic_store(&companion->stopping, true);
    kill(companion->pid, SIGTERM);
    pthread_join(companion->watcher, NULL);
}

/* ---- FastCGI ---- */

/* A worker reads blocked signals from a descriptor; those that a web server ignores would never
 * arrive. */
static void prepare_signals(void)
{
    const int signals[] = {SIGTERM, SIGINT, WORKER_END};
    sigset_t all;
    sigfillset(&all);
    sigdelset(&all, SIGBUS); /* see base/mapping.h */
    sigprocmask(SIG_SETMASK, &all, NULL);
    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        signal(signals[i], SIG_DFL);
}

static int serve(const struct app_parts *parts)
{
    static atomic_bool stopping;
    static atomic_bool served;
    struct worker_options options = {
        .parts = parts,
        .listen_fd = STDIN_FILENO,
        .ready_fd = -1,
        .started_us = clock_wall_us(),
        .hosted = true,
        .stopping = &stopping,
        .served = &served,
    };
    struct companion companion = {.pid = 0};
    struct listener listener;
    char error[512];
    if (!listener_adopt(&listener, STDIN_FILENO, true, error, sizeof error)) {
        LOG(LOG_CRITICAL, "cannot start", LOG_TEXT("error", error));
        return EXIT_FAILURE;
    }
    prepare_signals();
    if (!service_is_followed(parts->backend))
        return worker_run(&options);
    if (!start_companion(&companion, parts)) {
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
        oneshot_refuse();
    return EXIT_FAILURE;
}

int hosted_run(const struct app_parts *parts)
{
    const struct config *config = parts->config;
    const char *directory = getenv("STATE_DIR");
    char error[512];
    log_open((enum log_level)config->log_level, STDERR_FILENO);
    /* The default may be among the files that the web server serves to everybody. */
    if (directory == NULL || directory[0] != '/') {
        log_message(LOG_CRITICAL, "STATE_DIR must be set, to the whole path of a directory outside "
                                  "of the web server's files");
    } else if (!directory_prepare(config->state_dir, "STATE_DIR", error, sizeof error)) {
        LOG(LOG_CRITICAL, "cannot start", LOG_TEXT("error", error));
    } else {
        return hosted_by_cgi() ? oneshot_serve(parts) : serve(parts);
    }
    return hosted_refuse();
}
