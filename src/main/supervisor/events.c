/* SPDX-License-Identifier: MIT */
#include "main/supervisor/events.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/clock.h"
#include "core/log.h"
#include "main/nginx.h"
#include "main/supervisor/children.h"
#include "main/supervisor/ending.h"
#include "main/supervisor/follower.h"
#include "main/supervisor/upgrade.h"
#include "main/supervisor/workers.h"
#include "server/worker.h"

enum {
    LOOK_MS = 50, /* how often to look while something is due that no descriptor tells of */
    KEYS_LOOK_MS = 1000
};

/* ---- signals ---- */

static bool block_signals(struct supervisor *supervisor)
{
    sigset_t all;
    sigset_t wanted;
    sigfillset(&all);
    sigdelset(&all, SIGBUS); /* see base/mapping.h */
    sigprocmask(SIG_SETMASK, &all, NULL);
    /* An ignored signal would never arrive; a shell starts background jobs with SIGINT ignored. */
    const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR2, SIGCHLD, WORKER_END};
    sigemptyset(&wanted);
    for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
        signal(signals[i], SIG_DFL);
        if (signals[i] != WORKER_END)
            sigaddset(&wanted, signals[i]);
    }
    signal(SIGPIPE, SIG_IGN);
    supervisor->signal_fd = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
    return supervisor->signal_fd >= 0;
}

static void bury(struct supervisor *supervisor, pid_t pid, int status)
{
    struct child *child = children_find(supervisor, pid);
    if (pid == supervisor->nginx)
        ending_bury_nginx(supervisor, status);
    else if (child == &supervisor->follower.child)
        ending_act_on(supervisor, follower_bury(supervisor, status));
    else if (pid == supervisor->upgrade.rehearsal)
        upgrade_judge_rehearsal(supervisor, status);
    else if (child != NULL) /* otherwise an orphan that came to us as process 1 */
        ending_act_on(supervisor, workers_bury(supervisor, child, status));
}

static void reap(struct supervisor *supervisor)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED | WCONTINUED)) > 0) {
        if (WIFSTOPPED(status) || WIFCONTINUED(status))
            children_note_stopped(supervisor, pid, WIFSTOPPED(status));
        else
            bury(supervisor, pid, status);
    }
}

static void on_signal(struct supervisor *supervisor, const struct signalfd_siginfo *info)
{
    switch (info->ssi_signo) {
    case SIGCHLD:
        reap(supervisor);
        break;
    case SIGHUP:
        if (info->ssi_code == SI_KERNEL) /* the terminal is gone */
            ending_on_signal(supervisor, "SIGHUP");
        else
            supervisor->workers.reload_wanted = true;
        break;
    case SIGUSR2:
        supervisor->upgrade.wanted = true;
        break;
    case SIGTERM:
        ending_on_signal(supervisor, "SIGTERM");
        break;
    case SIGINT:
        ending_on_signal(supervisor, "SIGINT");
        break;
    default:
        break;
    }
}

static void read_signals(struct supervisor *supervisor)
{
    struct signalfd_siginfo info;
    while (read(supervisor->signal_fd, &info, sizeof info) == (ssize_t)sizeof info)
        on_signal(supervisor, &info);
}

/* ---- signs of life, and of being ready ---- */

static void give_sign_of_life(struct watchdog *watchdog)
{
    uint64_t now_ns = clock_steady_ns();
    if (watchdog->period_ms == 0 || now_ns < watchdog->next_ns)
        return;
    watchdog->next_ns = now_ns + watchdog->period_ms * NS_PER_MS;
    sd_notify(0, "WATCHDOG=1");
}

/* Tells whoever started it by hand, once, that nginx answers. */
static void announce(struct supervisor *supervisor)
{
    char url[300];
    if (!supervisor->options->with_nginx || supervisor->announced ||
        !supervisor->workers.were_ready || supervisor->ending.phase != PHASE_RUNNING ||
        !nginx_answers(supervisor->options->parts->config))
        return;
    supervisor->announced = true;
    nginx_url(supervisor->options->parts->config, url, sizeof url);
    printf("integration-service is ready at %s (Ctrl-C ends it)\n", url);
    fflush(stdout);
}

/* ---- waiting ---- */

static int wait_ms(const struct supervisor *supervisor, bool any_stopped)
{
    bool unannounced = supervisor->options->with_nginx && !supervisor->announced;
    uint64_t now_ns = clock_steady_ns();
    if (supervisor->ending.phase != PHASE_RUNNING || unannounced || any_stopped ||
        supervisor->upgrade.rehearsal > 0 || supervisor->workers.fork_not_before_ns > now_ns ||
        follower_is_missing(supervisor))
        return LOOK_MS;
    int wait =
        supervisor->watchdog.period_ms == 0 ? -1 : clock_ms_until(supervisor->watchdog.next_ns);
    return wait < 0 || wait > KEYS_LOOK_MS ? KEYS_LOOK_MS : wait;
}

static void wait_for_events(struct supervisor *supervisor, bool any_stopped)
{
    const struct child *follower = &supervisor->follower.child;
    int follower_fd = follower->state != CHILD_NONE ? follower->ready_fd : -1; /* -1: not polled */
    struct pollfd polled[CHILDREN_MAX + 2] = {{supervisor->signal_fd, POLLIN, 0},
                                              {follower_fd, POLLIN, 0}};
    struct child *workers[CHILDREN_MAX + 2];
    nfds_t len = 2;
    for (size_t i = 0; i < CHILDREN_MAX; i++) {
        struct child *child = &supervisor->workers.children[i];
        if (child->state == CHILD_NONE || child->ready_fd < 0)
            continue;
        workers[len] = child;
        polled[len++] = (struct pollfd){child->ready_fd, POLLIN, 0};
    }
    if (poll(polled, len, wait_ms(supervisor, any_stopped)) <= 0)
        return;
    for (nfds_t i = 2; i < len; i++)
        if (polled[i].revents != 0)
            workers_read_ready(supervisor, workers[i]);
    if (polled[1].revents != 0)
        follower_read_ready(supervisor);
    if (polled[0].revents != 0)
        read_signals(supervisor);
}

/* ---- the whole ---- */

bool events_open(struct supervisor *supervisor)
{
    uint64_t watchdog_us;
    if (!block_signals(supervisor))
        return false;
    if (sd_watchdog_enabled(0, &watchdog_us) > 0)
        supervisor->watchdog.period_ms = watchdog_us / 2 / US_PER_MS;
    return true;
}

int events_run(struct supervisor *supervisor)
{
    if (supervisor->upgrade.took_over) {
        supervisor->announced = true; /* the program before did */
        upgrade_take_over(supervisor);
        reap(supervisor);
    }
    while (supervisor->ending.phase < PHASE_ENDING_NGINX || supervisor->nginx > 0 ||
           children_count(supervisor) > 0) {
        give_sign_of_life(&supervisor->watchdog);
        metrics_count_cpu(&supervisor->slot);
        (void)keyring_look(
            supervisor->options->parts->keyring); /* new workers begin with what we know */
        workers_reload(supervisor);
        upgrade_rehearse(supervisor);
        follower_fork_missing(supervisor);
        workers_fork_missing(supervisor);
        announce(supervisor);
        wait_for_events(supervisor, children_kill_stopped(supervisor));
        ending_enforce(supervisor);
    }
    log_message(LOG_INFO, "ended");
    return supervisor->ending.failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

void events_close(struct supervisor *supervisor)
{
    close(supervisor->signal_fd);
}
