/* SPDX-License-Identifier: MIT */
#include "main/supervisor/workers.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/clock.h"
#include "core/log.h"
#include "main/supervisor/follower.h"
#include "server/worker.h"
#include "service/service.h"

static size_t count_current(const struct supervisor *supervisor, enum child_state state)
{
    size_t count = 0;
    for (size_t i = 0; i < CHILDREN_MAX; i++) {
        const struct child *child = &supervisor->workers.children[i];
        if (child->state == state && child->generation == supervisor->workers.generation)
            count++;
    }
    return count;
}

static bool current_serves(const struct supervisor *supervisor)
{
    return count_current(supervisor, CHILD_SERVING) >= supervisor->workers.wanted;
}

/* Whether workers of the current generation end before they serve: what was read for them may be
 * wrong, and right when it is read again. */
static bool current_fails(const struct supervisor *supervisor)
{
    return count_current(supervisor, CHILD_SERVING) == 0 &&
           supervisor->workers.first_request_deaths > 1;
}

static bool any_starts(const struct supervisor *supervisor)
{
    for (size_t i = 0; i < CHILDREN_MAX; i++)
        if (supervisor->workers.children[i].state == CHILD_STARTING)
            return true;
    return false;
}

static struct child *find_free(struct supervisor *supervisor)
{
    for (size_t i = 0; i < CHILDREN_MAX; i++)
        if (supervisor->workers.children[i].state == CHILD_NONE)
            return &supervisor->workers.children[i];
    return NULL;
}

static atomic_bool *served_by(const struct supervisor *supervisor, const struct child *child)
{
    return &supervisor->shared->served[child - supervisor->workers.children];
}

/* ---- forking ---- */

static int be_worker(struct supervisor *supervisor, const struct child *child, int ready_fd)
{
    struct worker_options options = {
        .parts = supervisor->options->parts,
        .listen_fd = supervisor->listener.fd,
        .ready_fd = ready_fd,
        .started_us = supervisor->started_us,
        .stopping = &supervisor->shared->stopping,
        .served = served_by(supervisor, child),
    };
    int status = worker_run(&options);
    app_parts_close(options.parts);
    return status;
}

static bool fork_worker(struct supervisor *supervisor)
{
    struct child *child = find_free(supervisor);
    if (child == NULL)
        return false;
    atomic_store(served_by(supervisor, child), false);
    if (!children_fork(supervisor, child, be_worker))
        return false;
    LOG(LOG_INFO, "worker started", LOG_NUMBER("worker", child->pid));
    return true;
}

void workers_fork_missing(struct supervisor *supervisor)
{
    struct workers *workers = &supervisor->workers;
    if (supervisor->ending.phase == PHASE_ENDING ||
        (service_is_followed(supervisor->options->parts->backend) &&
         !supervisor->follower.was_ready))
        return;
    while (count_current(supervisor, CHILD_STARTING) + count_current(supervisor, CHILD_SERVING) <
               workers->wanted &&
           clock_steady_ns() >= workers->fork_not_before_ns)
        if (!fork_worker(supervisor)) {
            workers->fork_not_before_ns = clock_after_ms(BACK_OFF_FIRST_MS);
            return;
        }
}

/* ---- generations ---- */

bool workers_have_room(const struct supervisor *supervisor)
{
    return supervisor->ending.phase == PHASE_RUNNING &&
           children_count(supervisor) + supervisor->workers.wanted <= CHILDREN_MAX;
}

void workers_reload(struct supervisor *supervisor)
{
    const struct app_parts *parts = supervisor->options->parts;
    if (!supervisor->workers.reload_wanted || !workers_have_room(supervisor) ||
        !(current_serves(supervisor) || current_fails(supervisor)))
        return;
    supervisor->workers.reload_wanted = false;
    supervisor->workers.generation++;
    sd_notify(0, "RELOADING=1");
    log_message(LOG_INFO, "reload: starting new workers");
    providers_reload(parts->providers, parts->config);
    if (vault_reload(parts->vault, parts->config->encryption_keys_file))
        follower_renew(supervisor);
}

static void retire_old(struct supervisor *supervisor)
{
    for (size_t i = 0; i < CHILDREN_MAX; i++) {
        struct child *child = &supervisor->workers.children[i];
        if ((child->state == CHILD_SERVING || child->state == CHILD_STARTING) &&
            child->generation != supervisor->workers.generation) {
            child->state = CHILD_RETIRING;
            kill(child->pid, SIGTERM);
        }
    }
}

void workers_adopt(struct supervisor *supervisor, const struct takeover *earlier)
{
    for (size_t i = 0; i < earlier->workers_len; i++) {
        enum child_state state = earlier->workers[i].retiring ? CHILD_RETIRING : CHILD_SERVING;
        supervisor->workers.children[i] =
            (struct child){.state = state, .pid = earlier->workers[i].pid, .ready_fd = -1};
        atomic_store(&supervisor->shared->served[i], true);
    }
    supervisor->workers.generation = 1;
    supervisor->workers.were_ready = true;
    supervisor->options->parts->vault->goes_on = true;
}

/* ---- deaths ---- */

static void back_off(struct workers *workers)
{
    uint64_t delay_ms = BACK_OFF_FIRST_MS;
    for (unsigned i = 2; i < workers->first_request_deaths && delay_ms < BACK_OFF_LONGEST_MS; i++)
        delay_ms *= 2;
    if (delay_ms > BACK_OFF_LONGEST_MS)
        delay_ms = BACK_OFF_LONGEST_MS;
    workers->fork_not_before_ns = clock_after_ms(delay_ms);
}

/* Counts the end of a worker that nobody asked to end. The first is replaced at once: only a row
 * of workers that never answered anything is slowed down. */
static void count_death(struct workers *workers, bool served)
{
    workers->first_request_deaths = served ? 0 : workers->first_request_deaths + 1;
    if (workers->first_request_deaths > 1)
        back_off(workers);
}

enum children_verdict workers_bury(struct supervisor *supervisor, struct child *child, int status)
{
    bool served = atomic_load(served_by(supervisor, child));
    bool done = WIFEXITED(status) && WEXITSTATUS(status) == WORKER_DONE;
    bool unusable = WIFEXITED(status) && WEXITSTATUS(status) == WORKER_UNUSABLE;
    if (children_bury(supervisor, child, status, "worker ended", "worker"))
        return supervisor->ending.phase == PHASE_ENDING && !done && !unusable ? CHILDREN_CUT_OFF
                                                                              : CHILDREN_FINE;
    if (unusable && !supervisor->workers.were_ready)
        return CHILDREN_UNUSABLE;
    count_death(&supervisor->workers, served);
    return CHILDREN_FINE;
}

/* ---- what workers say ---- */

/* A worker stops without being asked: another takes its place while it answers its last requests.
 */
static void replace_leaving(struct supervisor *supervisor, struct child *child)
{
    children_close_ready(child);
    if (child->state != CHILD_SERVING || supervisor->ending.phase == PHASE_ENDING)
        return;
    LOG(LOG_ERROR, "worker stops by itself", LOG_NUMBER("worker", child->pid));
    child->state = CHILD_RETIRING;
    count_death(&supervisor->workers, atomic_load(served_by(supervisor, child)));
}

static void note_serving(struct supervisor *supervisor)
{
    if (supervisor->workers.were_ready || any_starts(supervisor))
        return;
    supervisor->workers.were_ready = true;
    supervisor->options->parts->vault->goes_on = true;
    LOG(LOG_INFO, "serving", LOG_TEXT("address", supervisor->listener.address),
        LOG_NUMBER("workers", supervisor->workers.wanted));
}

void workers_read_ready(struct supervisor *supervisor, struct child *child)
{
    char byte;
    if (read(child->ready_fd, &byte, 1) != 1) {
        replace_leaving(supervisor, child);
        return;
    }
    if (child->state != CHILD_STARTING)
        return;
    child->state = CHILD_SERVING;
    bool serves = current_serves(supervisor);
    if (serves)
        retire_old(supervisor);
    note_serving(supervisor);
    if (serves && supervisor->ending.phase == PHASE_RUNNING)
        sd_notifyf(0, "READY=1\nSTATUS=serving with %zu workers", supervisor->workers.wanted);
}
