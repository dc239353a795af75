/* SPDX-License-Identifier: MIT */
#include "server/follower.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "app/app.h"
#include "core/log.h"
#include "server/confinement.h"
#include "server/worker.h"

static void tell_ready(void *context)
{
    const struct follower_options *options = context;
    ssize_t written = write(options->ready_fd, "", 1);
    (void)written; /* if nobody reads it any more, nobody is waiting for it */
}

/* Returns a descriptor that becomes readable when a signal to stop arrives. The signal is never
 * read, so the descriptor stays readable. */
static int open_stop_fd(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, WORKER_END);
    return signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

int follower_run(const struct follower_options *options)
{
    char error[512] = "no memory or descriptor";
    struct metrics_labels labels;
    confinement_enter(options->parts->config, false);
    struct metrics *metrics =
        app_metrics_open(options->parts->config, &labels, error, sizeof error);
    /* The follower's memory and descriptors are part of the pool's metrics. */
    struct metrics_slot slot;
    struct service_follow follow = {
        .stop_fd = open_stop_fd(), .ready = tell_ready, .context = (void *)options};
    prctl(PR_SET_NAME, "follower"); /* for ps(1) and top(1) */
    signal(SIGPIPE, SIG_IGN);
    bool followed = false;
    if (metrics != NULL && follow.stop_fd >= 0) {
        log_count_in(metrics_log_counts(metrics));
        metrics_claim(metrics, &slot, false);
        followed = service_follow(options->parts->config, options->parts->vault,
                                  options->parts->backend, &follow, error, sizeof error);
        metrics_count_cpu(&slot);
    }
    if (!followed)
        LOG(LOG_CRITICAL, "cannot start", LOG_TEXT("error", error));
    log_count_in(NULL);
    if (metrics != NULL)
        metrics_close(metrics);
    if (follow.stop_fd >= 0)
        close(follow.stop_fd);
    close(options->ready_fd);
    return followed ? WORKER_DONE : WORKER_UNUSABLE;
}
