/* SPDX-License-Identifier: MIT */
#include "main/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "app/app.h"
#include "base/clock.h"
#include "core/log.h"
#include "main/listener.h"
#include "main/nginx.h"
#include "main/takeover.h"
#include "server/follower.h"
#include "server/worker.h"

enum {
    CHILDREN_MAX = TAKEOVER_WORKERS_MAX, /* workers that serve, start and retire at the same time */
    US_PER_MS = 1000,
    BACK_OFF_FIRST_MS = 100,
    BACK_OFF_LONGEST_MS = 5000,
    KILL_AFTER_MS = 2000,             /* after DRAIN_TIMEOUT: for workers that do not end */
    END_SLACK_MS = 2 * KILL_AFTER_MS, /* by then all has ended */
    NGINX_LOOK_MS = 50,
    REHEARSAL_MS = 10000,
    REPEAT_AFTER_MS = 1000, /* a sooner second signal is the same wish: timeout(1) sends two */
    DESCRIPTORS_WANTED = 65536
};

enum child_state { CHILD_NONE, CHILD_STARTING, CHILD_SERVING, CHILD_RETIRING };

struct child {
    enum child_state state;
    pid_t pid;
    unsigned generation;
    int ready_fd; /* the worker writes to the other end when it serves, and closes it when it stops
                     to; -1: it has */
};

/* In their order. Leaving: not ready any more, but serving. */
enum phase { PHASE_RUNNING, PHASE_LEAVING, PHASE_ENDING_NGINX, PHASE_ENDING };

/* What the supervisor and the workers share in memory, workers of another version of the program
 * too: what is there keeps its place. */
struct shared {
    atomic_bool stopping;             /* the service is about to end */
    atomic_bool served[CHILDREN_MAX]; /* by child: its first request did not break the store */
};

struct supervisor {
    const struct supervisor_options *options;
    size_t workers;
    uint64_t started_us;
    struct listener listener;
    struct metrics_labels labels;
    struct metrics *metrics; /* for what the supervisor counts */
    struct metrics_slot slot;
    struct takeover earlier; /* what an earlier program of this process left, if it did */
    bool took_over;
    bool upgrade_wanted;
    pid_t rehearsal; /* of the program to go on as; 0: none */
    uint64_t rehearsal_until_ns;
    uint64_t watchdog_ms; /* how often the service manager wants a sign of life; 0: never */
    uint64_t sign_of_life_ns;
    int lock_fd;
    int signal_fd;
    struct child children[CHILDREN_MAX];
    struct child follower;   /* if the store has one; workers start when it is ready */
    bool follower_was_ready; /* once */
    uint64_t follow_not_before_ns;
    struct shared *shared;
    int shared_fd;
    unsigned generation; /* a reload begins the next one */
    bool reload_wanted;
    unsigned first_request_deaths; /* in a row */
    uint64_t fork_not_before_ns;
    pid_t nginx;
    bool was_ready;
    bool announced;
    enum phase phase;
    uint64_t end_asked_ns;
    uint64_t leave_at_ns;
    uint64_t end_by_ns;
    bool failed; /* the exit status is 1 */
};

static int complain(const char *error)
{
    fprintf(stderr, "integration-service: %s\n", error);
    return EXIT_FAILURE;
}

/* ---- the children ---- */

static size_t count_children(const struct supervisor *supervisor, enum child_state state,
                             bool of_generation)
{
    size_t count = 0;
    for (size_t i = 0; i < CHILDREN_MAX; i++) {
        const struct child *child = &supervisor->children[i];
        if (child->state == state &&
            (!of_generation || child->generation == supervisor->generation))
            count++;
    }
    return count;
}

static size_t count_all(const struct supervisor *supervisor)
{
    return CHILDREN_MAX - count_children(supervisor, CHILD_NONE, false) +
           (supervisor->follower.state != CHILD_NONE);
}

static struct child *find_free(struct supervisor *supervisor)
{
    for (size_t i = 0; i < CHILDREN_MAX; i++)
        if (supervisor->children[i].state == CHILD_NONE)
            return &supervisor->children[i];
    return NULL;
}

static void signal_children(const struct supervisor *supervisor, int signal)
{
    for (size_t i = 0; i < CHILDREN_MAX; i++)
        if (supervisor->children[i].state != CHILD_NONE)
            kill(supervisor->children[i].pid, signal);
    if (supervisor->follower.state != CHILD_NONE)
        kill(supervisor->follower.pid, signal);
}

static void close_ready(struct child *child)
{
    if (child->ready_fd >= 0)
        close(child->ready_fd);
    child->ready_fd = -1;
}

/* In a new child: leaves behind what is the supervisor's. False: the supervisor is no more. */
static bool become_child(struct supervisor *supervisor, pid_t parent)
{
    setpgid(0, 0); /* a Ctrl-C is for the supervisor, which ends the workers in order */
    prctl(PR_SET_PDEATHSIG, WORKER_END);
    if (getppid() != parent) /* it died before it could be told to tell us */
        return false;
    close(supervisor->lock_fd);
    close(supervisor->signal_fd);
    close(supervisor->shared_fd); /* it stays mapped */
    log_count_in(NULL);           /* until it opens the metrics itself */
    metrics_close(supervisor->metrics);
    for (size_t i = 0; i < CHILDREN_MAX; i++)
        if (supervisor->children[i].state != CHILD_NONE)
            close_ready(&supervisor->children[i]);
    if (supervisor->follower.state != CHILD_NONE)
        close_ready(&supervisor->follower);
    return true;
}

static int be_follower(struct supervisor *supervisor, int ready_fd)
{
    struct follower_options options = {
        .config = supervisor->options->config,
        .backend = supervisor->options->backend,
        .ready_fd = ready_fd,
    };
    close(supervisor->listener.fd);
    return follower_run(&options);
}

static int be_worker(struct supervisor *supervisor, size_t index, int ready_fd)
{
    struct worker_options options = {
        .config = supervisor->options->config,
        .backend = supervisor->options->backend,
        .listen_fd = supervisor->listener.fd,
        .ready_fd = ready_fd,
        .started_us = supervisor->started_us,
        .stopping = &supervisor->shared->stopping,
        .served = &supervisor->shared->served[index],
    };
    return worker_run(&options);
}

/* Forks the follower, or a worker. In the child: does its work, and does not return. */
static bool fork_child(struct supervisor *supervisor, struct child *child)
{
    int pipe_fds[2];
    if (pipe2(pipe_fds, O_CLOEXEC) != 0)
        return false;
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        close(pipe_fds[0]);
        if (!become_child(supervisor, parent))
            exit(WORKER_DONE);
        exit(child == &supervisor->follower
                 ? be_follower(supervisor, pipe_fds[1])
                 : be_worker(supervisor, (size_t)(child - supervisor->children), pipe_fds[1]));
    }
    close(pipe_fds[1]);
    if (pid < 0) {
        LOG(LOG_ERROR, "cannot fork", LOG_TEXT("error", strerror(errno)));
        close(pipe_fds[0]);
        return false;
    }
    *child = (struct child){CHILD_STARTING, pid, supervisor->generation, pipe_fds[0]};
    return true;
}

static bool fork_worker(struct supervisor *supervisor)
{
    struct child *child = find_free(supervisor);
    if (child == NULL)
        return false;
    atomic_store(&supervisor->shared->served[child - supervisor->children], false);
    if (!fork_child(supervisor, child))
        return false;
    LOG(LOG_INFO, "worker started", LOG_NUMBER("worker", child->pid));
    return true;
}

/* Whether there is no follower, and shall be one. */
static bool wants_follower(const struct supervisor *supervisor)
{
    return service_is_followed(supervisor->options->backend) && supervisor->phase != PHASE_ENDING &&
           supervisor->follower.state == CHILD_NONE;
}

static void fork_follower(struct supervisor *supervisor)
{
    if (!wants_follower(supervisor) || clock_steady_ns() < supervisor->follow_not_before_ns)
        return;
    if (fork_child(supervisor, &supervisor->follower))
        LOG(LOG_INFO, "follower started", LOG_NUMBER("follower", supervisor->follower.pid));
    else
        supervisor->follow_not_before_ns = clock_after_ms(BACK_OFF_FIRST_MS);
}

static void back_off(struct supervisor *supervisor)
{
    uint64_t delay_ms = BACK_OFF_FIRST_MS;
    for (unsigned i = 2; i < supervisor->first_request_deaths && delay_ms < BACK_OFF_LONGEST_MS;
         i++)
        delay_ms *= 2;
    if (delay_ms > BACK_OFF_LONGEST_MS)
        delay_ms = BACK_OFF_LONGEST_MS;
    supervisor->fork_not_before_ns = clock_after_ms(delay_ms);
}

/* Forks what the current generation lacks, unless workers die as soon as they serve. While nginx
 * ends, it still hands over requests. */
static void fork_workers(struct supervisor *supervisor)
{
    if (supervisor->phase == PHASE_ENDING ||
        (service_is_followed(supervisor->options->backend) && !supervisor->follower_was_ready))
        return;
    while (count_children(supervisor, CHILD_STARTING, true) +
                   count_children(supervisor, CHILD_SERVING, true) <
               supervisor->workers &&
           clock_steady_ns() >= supervisor->fork_not_before_ns)
        if (!fork_worker(supervisor)) {
            supervisor->fork_not_before_ns = clock_after_ms(BACK_OFF_FIRST_MS);
            return;
        }
}

/* When the current generation serves, the older ones retire. */
static void retire_old(struct supervisor *supervisor)
{
    if (count_children(supervisor, CHILD_SERVING, true) < supervisor->workers)
        return;
    for (size_t i = 0; i < CHILDREN_MAX; i++) {
        struct child *child = &supervisor->children[i];
        if ((child->state == CHILD_SERVING || child->state == CHILD_STARTING) &&
            child->generation != supervisor->generation) {
            child->state = CHILD_RETIRING;
            kill(child->pid, SIGTERM);
        }
    }
}

/* Whether a whole generation more may start. */
static bool has_room(const struct supervisor *supervisor)
{
    return supervisor->phase == PHASE_RUNNING &&
           count_all(supervisor) + supervisor->workers <= CHILDREN_MAX;
}

/* Begins a new generation: one at a time. */
static void reload(struct supervisor *supervisor)
{
    if (!supervisor->reload_wanted || !has_room(supervisor) ||
        count_children(supervisor, CHILD_SERVING, true) < supervisor->workers)
        return;
    supervisor->reload_wanted = false;
    supervisor->generation++;
    sd_notify(0, "RELOADING=1");
    log_message(LOG_INFO, "reload: starting new workers");
}

/* ---- the upgrade ---- */

/* A rehearsal that takes too long is none. */
static void end_rehearsal(struct supervisor *supervisor, bool now)
{
    if (supervisor->rehearsal > 0 && (now || clock_steady_ns() >= supervisor->rehearsal_until_ns))
        kill(supervisor->rehearsal, SIGKILL);
}

static void upgrade(struct supervisor *supervisor)
{
    end_rehearsal(supervisor, supervisor->phase != PHASE_RUNNING);
    if (!supervisor->upgrade_wanted || supervisor->rehearsal > 0 || !has_room(supervisor))
        return;
    supervisor->upgrade_wanted = false;
    supervisor->rehearsal_until_ns = clock_after_ms(REHEARSAL_MS);
    supervisor->rehearsal = takeover_rehearse();
    if (supervisor->rehearsal < 0) {
        LOG(LOG_ERROR, "cannot upgrade", LOG_TEXT("error", strerror(errno)));
        supervisor->rehearsal = 0;
    }
}

static void hand_over(struct supervisor *supervisor)
{
    static struct takeover takeover;
    takeover = (struct takeover){.listen_fd = supervisor->listener.fd,
                                 .lock_fd = supervisor->lock_fd,
                                 .shared_fd = supervisor->shared_fd,
                                 .socket_given = supervisor->listener.given,
                                 .nginx = supervisor->nginx};
    if (supervisor->follower.state != CHILD_NONE)
        takeover.follower = supervisor->follower.pid;
    for (size_t i = 0; i < CHILDREN_MAX; i++) {
        const struct child *child = &supervisor->children[i];
        if (child->state == CHILD_NONE)
            continue;
        takeover.workers[takeover.workers_len].pid = child->pid;
        takeover.workers[takeover.workers_len++].retiring = child->state == CHILD_RETIRING;
    }
    sd_notify(0, "RELOADING=1");
    log_message(LOG_INFO, "upgrade: going on as the new program");
    takeover_exec(&takeover, supervisor->options->with_nginx);
    LOG(LOG_ERROR, "cannot upgrade", LOG_TEXT("error", strerror(errno)));
    sd_notify(0, "READY=1");
}

static void judge_rehearsal(struct supervisor *supervisor, int status)
{
    supervisor->rehearsal = 0;
    if (supervisor->phase != PHASE_RUNNING ||
        supervisor->upgrade_wanted) /* again: it may be yet another program by now */
        return;
    if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS)
        hand_over(supervisor);
    else
        log_message(LOG_ERROR, "cannot upgrade: the new program does not run here; its "
                               "check-config says why");
}

/* Goes on with the children of an earlier program: a new follower, and new workers. */
static void take_children(struct supervisor *supervisor)
{
    const struct takeover *earlier = &supervisor->earlier;
    for (size_t i = 0; i < earlier->workers_len; i++) {
        enum child_state state = earlier->workers[i].retiring ? CHILD_RETIRING : CHILD_SERVING;
        supervisor->children[i] = (struct child){state, earlier->workers[i].pid, 0, -1};
        atomic_store(&supervisor->shared->served[i], true);
    }
    if (earlier->follower > 0) {
        supervisor->follower = (struct child){CHILD_RETIRING, earlier->follower, 0, -1};
        kill(earlier->follower, SIGTERM);
    }
    supervisor->generation = 1;
    supervisor->was_ready = true;
    supervisor->announced = true;
    log_message(LOG_INFO, "upgrade: starting new workers");
}

static void end(struct supervisor *supervisor);

static void count_ending(const struct supervisor *supervisor, const struct child *child, int status)
{
    enum metrics_ending ending = METRICS_EXITED;
    if (supervisor->phase == PHASE_ENDING)
        return;
    if (WIFSIGNALED(status))
        ending = METRICS_KILLED;
    else if (child->state == CHILD_RETIRING)
        ending = METRICS_RELOADED;
    metrics_count_ending(supervisor->metrics, ending);
}

static void log_death(const char *message, const char *name, const struct child *child, int status)
{
    bool killed = WIFSIGNALED(status);
    bool expected = child->state == CHILD_RETIRING && !killed && WEXITSTATUS(status) == 0;
    LOG(expected ? LOG_INFO : LOG_ERROR, message, LOG_NUMBER(name, child->pid),
        LOG_TEXT("reason", killed ? "signal" : "exit"),
        LOG_NUMBER("code", killed ? WTERMSIG(status) : WEXITSTATUS(status)));
}

/* Counts the end of a worker that nobody asked to end. */
static void count_death(struct supervisor *supervisor, bool served)
{
    supervisor->first_request_deaths = served ? 0 : supervisor->first_request_deaths + 1;
    if (supervisor->first_request_deaths > 1)
        back_off(supervisor);
}

static void bury_worker(struct supervisor *supervisor, struct child *child, int status)
{
    bool served = atomic_load(&supervisor->shared->served[child - supervisor->children]);
    if (supervisor->phase == PHASE_ENDING)
        child->state = CHILD_RETIRING;
    log_death("worker ended", "worker", child, status);
    count_ending(supervisor, child, status);
    close_ready(child);
    bool asked = child->state == CHILD_RETIRING;
    child->state = CHILD_NONE;
    if (asked) {
        if (supervisor->phase == PHASE_ENDING)
            supervisor->failed |= !WIFEXITED(status) || WEXITSTATUS(status) != WORKER_DONE;
    } else if (!supervisor->was_ready && WIFEXITED(status) &&
               WEXITSTATUS(status) == WORKER_UNUSABLE) {
        supervisor->failed = true;
        end(supervisor);
    } else {
        count_death(supervisor, served);
    }
}

/* Without a follower the workers go on; the replica just grows older. */
static void bury_follower(struct supervisor *supervisor, int status)
{
    struct child *child = &supervisor->follower;
    bool unusable = WIFEXITED(status) && WEXITSTATUS(status) == WORKER_UNUSABLE;
    bool was_ready = child->state != CHILD_STARTING;
    if (supervisor->phase == PHASE_ENDING)
        child->state = CHILD_RETIRING;
    log_death("follower ended", "follower", child, status);
    count_ending(supervisor, child, status);
    close_ready(child);
    child->state = CHILD_NONE;
    supervisor->follow_not_before_ns =
        clock_after_ms(was_ready ? BACK_OFF_FIRST_MS : BACK_OFF_LONGEST_MS);
    if (unusable && !supervisor->follower_was_ready && !supervisor->took_over) {
        supervisor->failed = true;
        end(supervisor);
    }
}

static void bury_nginx(struct supervisor *supervisor, int status)
{
    pid_t group = supervisor->nginx;
    supervisor->nginx = 0;
    if (supervisor->phase < PHASE_ENDING_NGINX) {
        kill(-group, SIGTERM); /* its workers would keep the port */
        LOG(LOG_CRITICAL, "nginx ended by itself", LOG_NUMBER("status", status));
        supervisor->failed = true;
    }
    end(supervisor);
}

static void reap(struct supervisor *supervisor)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == supervisor->nginx)
            bury_nginx(supervisor, status);
        else if (supervisor->follower.state != CHILD_NONE && pid == supervisor->follower.pid)
            bury_follower(supervisor, status);
        else if (pid == supervisor->rehearsal)
            judge_rehearsal(supervisor, status);
        for (size_t i = 0; i < CHILDREN_MAX; i++)
            if (supervisor->children[i].state != CHILD_NONE && supervisor->children[i].pid == pid)
                bury_worker(supervisor, &supervisor->children[i], status);
        /* Any other is an orphan that came to us as process 1. */
    }
}

/* ---- the end ---- */

/* Goes on with ending: nginx hands over its last requests, then the workers answer theirs. */
static void end(struct supervisor *supervisor)
{
    bool first = supervisor->phase < PHASE_ENDING_NGINX;
    atomic_store(&supervisor->shared->stopping, true);
    if (first)
        supervisor->end_by_ns = clock_after_ms(supervisor->options->config->drain_timeout_ms);
    if (supervisor->nginx > 0) {
        if (first) { /* it waits for the answers to what it has handed over */
            signal_children(supervisor, WORKER_LEAVE);
            kill(supervisor->nginx, SIGQUIT);
        }
        supervisor->phase = PHASE_ENDING_NGINX;
    } else if (supervisor->phase != PHASE_ENDING) {
        supervisor->phase = PHASE_ENDING;
        listener_close(&supervisor->listener);
        signal_children(supervisor, WORKER_END);
    }
}

/* When the time is over, asks no more. */
static void enforce_end(struct supervisor *supervisor)
{
    uint64_t now_ns = clock_steady_ns();
    if (supervisor->phase == PHASE_LEAVING && now_ns >= supervisor->leave_at_ns)
        end(supervisor);
    if (supervisor->phase < PHASE_ENDING_NGINX || now_ns < supervisor->end_by_ns)
        return;
    if (supervisor->phase == PHASE_ENDING_NGINX)
        kill(supervisor->nginx, SIGTERM);
    if (now_ns < supervisor->end_by_ns + KILL_AFTER_MS * NS_PER_MS)
        return;
    log_message(LOG_ERROR, "the time to end is over: killing what is left");
    supervisor->failed = true;
    if (supervisor->nginx > 0)
        kill(-supervisor->nginx, SIGKILL); /* its workers too: it can no longer tell them */
    signal_children(supervisor, SIGKILL);
    supervisor->end_by_ns = now_ns;
}

/* ---- events ---- */

/* Is not ready from now on, and ends after PRE_DRAIN_DELAY. */
static void leave(struct supervisor *supervisor)
{
    uint64_t delay_ms = supervisor->options->config->pre_drain_delay_ms;
    atomic_store(&supervisor->shared->stopping, true);
    supervisor->phase = PHASE_LEAVING;
    sd_notifyf(0, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%" PRIu64,
               (delay_ms + supervisor->options->config->drain_timeout_ms + END_SLACK_MS) *
                   US_PER_MS);
    supervisor->leave_at_ns = clock_after_ms(delay_ms);
    if (delay_ms == 0)
        end(supervisor);
}

static void on_end_signal(struct supervisor *supervisor, const char *name)
{
    uint64_t now_ns = clock_steady_ns();
    if (supervisor->phase == PHASE_RUNNING) {
        LOG(LOG_INFO, "ending", LOG_TEXT("signal", name));
        supervisor->end_asked_ns = now_ns;
        leave(supervisor);
    } else if (now_ns - supervisor->end_asked_ns > REPEAT_AFTER_MS * NS_PER_MS) {
        end(supervisor);
        supervisor->end_by_ns = now_ns - KILL_AFTER_MS * NS_PER_MS;
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
            on_end_signal(supervisor, "SIGHUP");
        else
            supervisor->reload_wanted = true;
        break;
    case SIGUSR2:
        supervisor->upgrade_wanted = true;
        break;
    case SIGTERM:
        on_end_signal(supervisor, "SIGTERM");
        break;
    case SIGINT:
        on_end_signal(supervisor, "SIGINT");
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

/* A worker stopped to serve without being asked, and drains: another takes its place now. */
static void replace_leaving(struct supervisor *supervisor, struct child *child)
{
    close_ready(child);
    if (child->state != CHILD_SERVING || supervisor->phase == PHASE_ENDING)
        return;
    LOG(LOG_ERROR, "worker stops by itself", LOG_NUMBER("worker", child->pid));
    child->state = CHILD_RETIRING;
    count_death(supervisor, atomic_load(&supervisor->shared->served[child - supervisor->children]));
}

/* Tells the service manager when the current generation serves. */
static void tell_ready(const struct supervisor *supervisor)
{
    if (count_children(supervisor, CHILD_SERVING, true) == supervisor->workers &&
        supervisor->phase == PHASE_RUNNING)
        sd_notifyf(0, "READY=1\nSTATUS=serving with %zu workers", supervisor->workers);
}

/* A worker says that it serves, or stops to. */
static void read_ready(struct supervisor *supervisor, struct child *child)
{
    char byte;
    if (read(child->ready_fd, &byte, 1) != 1) {
        replace_leaving(supervisor, child);
        return;
    }
    if (child->state != CHILD_STARTING)
        return;
    child->state = CHILD_SERVING;
    retire_old(supervisor);
    if (!supervisor->was_ready && count_children(supervisor, CHILD_STARTING, false) == 0) {
        supervisor->was_ready = true;
        LOG(LOG_INFO, "serving", LOG_TEXT("address", supervisor->listener.address),
            LOG_NUMBER("workers", supervisor->workers));
    }
    tell_ready(supervisor);
}

/* The follower says that reads can be answered. */
static void read_follower_ready(struct supervisor *supervisor)
{
    char byte;
    if (read(supervisor->follower.ready_fd, &byte, 1) == 1) {
        supervisor->follower.state = CHILD_SERVING;
        supervisor->follower_was_ready = true;
    }
    close_ready(&supervisor->follower);
}

static void announce(struct supervisor *supervisor)
{
    char url[300];
    if (!supervisor->options->with_nginx || supervisor->announced || !supervisor->was_ready ||
        supervisor->phase != PHASE_RUNNING || !nginx_answers(supervisor->options->config))
        return;
    supervisor->announced = true;
    nginx_url(supervisor->options->config, url, sizeof url);
    printf("integration-service is ready at %s (Ctrl-C ends it)\n", url);
    fflush(stdout);
}

static int wait_ms(const struct supervisor *supervisor)
{
    bool unannounced = supervisor->options->with_nginx && !supervisor->announced;
    uint64_t now_ns = clock_steady_ns();
    if (supervisor->phase != PHASE_RUNNING || unannounced || supervisor->rehearsal > 0 ||
        supervisor->fork_not_before_ns > now_ns || wants_follower(supervisor))
        return NGINX_LOOK_MS;
    return supervisor->watchdog_ms == 0 ? -1 : clock_ms_until(supervisor->sign_of_life_ns);
}

static void give_sign_of_life(struct supervisor *supervisor)
{
    uint64_t now_ns = clock_steady_ns();
    if (supervisor->watchdog_ms == 0 || now_ns < supervisor->sign_of_life_ns)
        return;
    supervisor->sign_of_life_ns = now_ns + supervisor->watchdog_ms * NS_PER_MS;
    sd_notify(0, "WATCHDOG=1");
}

static void wait_for_events(struct supervisor *supervisor)
{
    /* poll(2) leaves out what is -1 */
    int follower_fd = supervisor->follower.state != CHILD_NONE ? supervisor->follower.ready_fd : -1;
    struct pollfd polled[CHILDREN_MAX + 2] = {{supervisor->signal_fd, POLLIN, 0},
                                              {follower_fd, POLLIN, 0}};
    struct child *starting[CHILDREN_MAX + 2];
    nfds_t len = 2;
    for (size_t i = 0; i < CHILDREN_MAX; i++) {
        struct child *child = &supervisor->children[i];
        if (child->state == CHILD_NONE || child->ready_fd < 0)
            continue;
        starting[len] = child;
        polled[len++] = (struct pollfd){child->ready_fd, POLLIN, 0};
    }
    if (poll(polled, len, wait_ms(supervisor)) <= 0)
        return;
    for (nfds_t i = 2; i < len; i++)
        if (polled[i].revents != 0)
            read_ready(supervisor, starting[i]);
    if (polled[1].revents != 0)
        read_follower_ready(supervisor);
    if (polled[0].revents != 0)
        read_signals(supervisor);
}

static int supervise(struct supervisor *supervisor)
{
    if (supervisor->took_over) {
        take_children(supervisor);
        reap(supervisor);
    }
    while (supervisor->phase < PHASE_ENDING_NGINX || supervisor->nginx > 0 ||
           count_all(supervisor) > 0) {
        give_sign_of_life(supervisor);
        metrics_count_cpu(&supervisor->slot);
        reload(supervisor);
        upgrade(supervisor);
        fork_follower(supervisor);
        fork_workers(supervisor);
        announce(supervisor);
        wait_for_events(supervisor);
        enforce_end(supervisor);
    }
    log_message(LOG_INFO, "ended");
    return supervisor->failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- the start ---- */

static bool block_signals(struct supervisor *supervisor)
{
    sigset_t all;
    sigset_t wanted;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    /* An ignored signal (a shell's background job has SIGINT so) would never arrive. */
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

/* As many connections as the system lets us have. */
static void raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= DESCRIPTORS_WANTED)
        return;
    limit.rlim_cur = limit.rlim_max < DESCRIPTORS_WANTED ? limit.rlim_max : DESCRIPTORS_WANTED;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* The socket of an earlier program, else the service manager's, else our own. */
static bool open_listener(struct supervisor *supervisor, char *error, size_t error_size)
{
    const struct takeover *earlier = &supervisor->earlier;
    if (supervisor->took_over)
        return listener_adopt(&supervisor->listener, earlier->listen_fd, earlier->socket_given,
                              error, error_size);
    int given = sd_listen_fds(1);
    if (given == 1)
        return listener_adopt(&supervisor->listener, SD_LISTEN_FDS_START, true, error, error_size);
    if (given > 1)
        snprintf(error, error_size, "the service manager gives %d sockets: one is wanted", given);
    return given <= 0 &&
           listener_open(&supervisor->listener, supervisor->options->config, error, error_size);
}

static bool open_nginx(struct supervisor *supervisor, char *error, size_t error_size)
{
    const struct config *config = supervisor->options->config;
    const char *address = supervisor->listener.address;
    if (supervisor->took_over) {
        supervisor->nginx = supervisor->earlier.nginx;
        if (supervisor->nginx > 0 &&
            !nginx_renew(config, address, supervisor->nginx, error, error_size))
            LOG(LOG_ERROR, "nginx goes on as it was", LOG_TEXT("error", error));
        return true;
    }
    if (!nginx_prepare(config, address, error, error_size))
        return false;
    supervisor->nginx = nginx_start(config);
    if (supervisor->nginx < 0)
        snprintf(error, error_size, "cannot fork nginx");
    return supervisor->nginx >= 0;
}

static int open_and_supervise(struct supervisor *supervisor)
{
    char error[1024];
    if (!open_listener(supervisor, error, sizeof error))
        return complain(error);
    int status = EXIT_FAILURE;
    if (supervisor->options->with_nginx && !open_nginx(supervisor, error, sizeof error))
        complain(error);
    else
        status = supervise(supervisor);
    listener_close(&supervisor->listener);
    return status;
}

static int lock_and_supervise(struct supervisor *supervisor)
{
    char error[1024];
    supervisor->lock_fd =
        supervisor->took_over
            ? supervisor->earlier.lock_fd
            : state_dir_lock(supervisor->options->config->state_dir, error, sizeof error);
    if (supervisor->lock_fd < 0)
        return complain(error);
    supervisor->metrics =
        app_metrics_open(supervisor->options->config, &supervisor->labels, error, sizeof error);
    int status = EXIT_FAILURE;
    if (supervisor->metrics == NULL) {
        complain(error);
    } else {
        log_count_in(metrics_log_counts(supervisor->metrics));
        metrics_claim(supervisor->metrics, &supervisor->slot, false);
        if (supervisor->took_over) /* this process's time was counted, up to now */
            supervisor->slot.cpu_before_us -= clock_cpu_us();
        status = open_and_supervise(supervisor);
        log_count_in(NULL);
        metrics_close(supervisor->metrics);
    }
    close(supervisor->lock_fd);
    return status;
}

/* Of an earlier program of this process too: its workers go on looking at it. */
static bool open_shared(struct supervisor *supervisor)
{
    size_t size = sizeof *supervisor->shared;
    supervisor->shared_fd =
        supervisor->took_over ? supervisor->earlier.shared_fd : memfd_create("shared", MFD_CLOEXEC);
    if (supervisor->shared_fd < 0 || ftruncate(supervisor->shared_fd, (off_t)size) != 0)
        return false;
    supervisor->shared =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, supervisor->shared_fd, 0);
    return supervisor->shared != MAP_FAILED;
}

int supervisor_run(const struct supervisor_options *options)
{
    static struct supervisor supervisor;
    supervisor = (struct supervisor){.options = options,
                                     .workers = config_workers(options->config),
                                     .started_us = clock_wall_us(),
                                     .listener.fd = -1};
    supervisor.took_over = takeover_receive(&supervisor.earlier);
    if (!open_shared(&supervisor) || !block_signals(&supervisor))
        return complain(strerror(errno));
    uint64_t watchdog_us;
    if (sd_watchdog_enabled(0, &watchdog_us) > 0)
        supervisor.watchdog_ms = watchdog_us / 2 / US_PER_MS;
    raise_descriptors();
    log_open((enum log_level)options->config->log_level, STDERR_FILENO);
    int status = lock_and_supervise(&supervisor);
    close(supervisor.signal_fd);
    munmap(supervisor.shared, sizeof *supervisor.shared);
    close(supervisor.shared_fd);
    return status;
}
