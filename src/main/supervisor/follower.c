/* SPDX-License-Identifier: MIT */
#include "main/supervisor/follower.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "core/log.h"
#include "server/follower.h"
#include "server/worker.h"
#include "service/service.h"

static int be_follower(struct supervisor *supervisor, const struct child *child, int ready_fd)
{
    (void)child;
    struct follower_options options = {
        .parts = supervisor->options->parts,
        .ready_fd = ready_fd,
    };
    close(supervisor->listener.fd);
    int status = follower_run(&options);
    app_parts_close(options.parts);
    return status;
}

bool follower_is_missing(const struct supervisor *supervisor)
{
    return service_is_followed(supervisor->options->parts->backend) &&
           supervisor->ending.phase != PHASE_ENDING &&
           supervisor->follower.child.state == CHILD_NONE;
}

void follower_fork_missing(struct supervisor *supervisor)
{
    struct follower *follower = &supervisor->follower;
    if (!follower_is_missing(supervisor) || clock_steady_ns() < follower->fork_not_before_ns)
        return;
    if (children_fork(supervisor, &follower->child, be_follower))
        LOG(LOG_INFO, "follower started", LOG_NUMBER("follower", follower->child.pid));
    else
        follower->fork_not_before_ns = clock_after_ms(BACK_OFF_FIRST_MS);
}

void follower_read_ready(struct supervisor *supervisor)
{
    char byte;
    struct follower *follower = &supervisor->follower;
    if (read(follower->child.ready_fd, &byte, 1) == 1) {
        follower->child.state = CHILD_SERVING;
        follower->was_ready = true;
    }
    children_close_ready(&follower->child);
}

void follower_renew(struct supervisor *supervisor)
{
    struct child *child = &supervisor->follower.child;
    if (child->state != CHILD_STARTING && child->state != CHILD_SERVING)
        return;
    child->state = CHILD_RETIRING;
    kill(child->pid, SIGTERM);
}

void follower_adopt(struct supervisor *supervisor, pid_t pid)
{
    supervisor->follower.child =
        (struct child){.state = CHILD_RETIRING, .pid = pid, .ready_fd = -1};
    kill(pid, SIGTERM);
}

/* Without a follower the workers go on; the replica just grows older. */
enum children_verdict follower_bury(struct supervisor *supervisor, int status)
{
    struct follower *follower = &supervisor->follower;
    bool unusable = WIFEXITED(status) && WEXITSTATUS(status) == WORKER_UNUSABLE;
    bool started = follower->child.state != CHILD_STARTING;
    children_bury(supervisor, &follower->child, status, "follower ended", "follower");
    follower->fork_not_before_ns =
        clock_after_ms(started ? BACK_OFF_FIRST_MS : BACK_OFF_LONGEST_MS);
    return unusable && !follower->was_ready && !supervisor->upgrade.took_over ? CHILDREN_UNUSABLE
                                                                              : CHILDREN_FINE;
}
