/* SPDX-License-Identifier: MIT */
#include "main/supervisor/children.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "core/log.h"
#include "server/worker.h"

size_t children_count(const struct supervisor *supervisor)
{
    size_t count = supervisor->follower.child.state != CHILD_NONE;
    for (size_t i = 0; i < CHILDREN_MAX; i++)
        if (supervisor->workers.children[i].state != CHILD_NONE)
            count++;
    return count;
}

void children_signal(const struct supervisor *supervisor, int signal)
{
    for (size_t i = 0; i < CHILDREN_MAX; i++)
        if (supervisor->workers.children[i].state != CHILD_NONE)
            kill(supervisor->workers.children[i].pid, signal);
    if (supervisor->follower.child.state != CHILD_NONE)
        kill(supervisor->follower.child.pid, signal);
}

void children_close_ready(struct child *child)
{
    if (child->ready_fd >= 0)
        close(child->ready_fd);
    child->ready_fd = -1;
}

/* ---- stopped children ---- */

struct child *children_find(struct supervisor *supervisor, pid_t pid)
{
    struct child *follower = &supervisor->follower.child;
    if (follower->state != CHILD_NONE && follower->pid == pid)
        return follower;
    for (size_t i = 0; i < CHILDREN_MAX; i++) {
        struct child *child = &supervisor->workers.children[i];
        if (child->state != CHILD_NONE && child->pid == pid)
            return child;
    }
    return NULL;
}

void children_note_stopped(struct supervisor *supervisor, pid_t pid, bool stopped)
{
    struct child *child = children_find(supervisor, pid);
    if (child != NULL)
        child->kill_at_ns = stopped ? clock_after_ms(STOPPED_MAX_MS) : 0;
}

static bool kill_stopped(struct child *child)
{
    if (child->state == CHILD_NONE || child->kill_at_ns == 0)
        return false;
    if (clock_steady_ns() < child->kill_at_ns)
        return true;
    LOG(LOG_ERROR, "a process was stopped for too long: it is killed, and replaced",
        LOG_NUMBER("process", child->pid));
    kill(child->pid, SIGKILL);
    child->kill_at_ns = 0;
    return false;
}

bool children_kill_stopped(struct supervisor *supervisor)
{
    bool any = kill_stopped(&supervisor->follower.child);
    for (size_t i = 0; i < CHILDREN_MAX; i++)
        any |= kill_stopped(&supervisor->workers.children[i]);
    return any;
}

/* ---- forking ---- */

/* In a new child: leaves behind what is the supervisor's. False: the supervisor has died. */
static bool become_child(struct supervisor *supervisor, pid_t parent)
{
    setpgid(0, 0); /* a Ctrl-C is for the supervisor, which ends the workers in order */
    prctl(PR_SET_PDEATHSIG, WORKER_END);
    if (getppid() != parent) /* it died before prctl(2), so no signal will come */
        return false;
    close(supervisor->lock_fd);
    close(supervisor->signal_fd);
    close(supervisor->shared_fd); /* the memory stays mapped */
    log_count_in(NULL);           /* until the child opens the metrics itself */
    metrics_close(supervisor->metrics);
    for (size_t i = 0; i < CHILDREN_MAX; i++)
        if (supervisor->workers.children[i].state != CHILD_NONE)
            children_close_ready(&supervisor->workers.children[i]);
    if (supervisor->follower.child.state != CHILD_NONE)
        children_close_ready(&supervisor->follower.child);
    return true;
}

bool children_fork(struct supervisor *supervisor, struct child *child,
                   int (*work)(struct supervisor *supervisor, const struct child *child,
                               int ready_fd))
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
        exit(work(supervisor, child, pipe_fds[1]));
    }
    close(pipe_fds[1]);
    if (pid < 0) {
        LOG(LOG_ERROR, "cannot fork", LOG_TEXT("error", strerror(errno)));
        close(pipe_fds[0]);
        return false;
    }
    *child = (struct child){.state = CHILD_STARTING,
                            .pid = pid,
                            .generation = supervisor->workers.generation,
                            .ready_fd = pipe_fds[0]};
    return true;
}

/* ---- burying ---- */

static void log_death(const struct child *child, int status, const char *message, const char *name)
{
    bool killed = WIFSIGNALED(status);
    bool expected = child->state == CHILD_RETIRING && !killed && WEXITSTATUS(status) == 0;
    LOG(expected ? LOG_INFO : LOG_ERROR, message, LOG_NUMBER(name, child->pid),
        LOG_TEXT("reason", killed ? "signal" : "exit"),
        LOG_NUMBER("code", killed ? WTERMSIG(status) : WEXITSTATUS(status)));
}

static void count_end(const struct supervisor *supervisor, const struct child *child, int status)
{
    enum metrics_ending ending = METRICS_EXITED;
    if (supervisor->ending.phase == PHASE_ENDING)
        return;
    if (WIFSIGNALED(status))
        ending = METRICS_KILLED;
    else if (child->state == CHILD_RETIRING)
        ending = METRICS_RELOADED;
    metrics_count_ending(supervisor->metrics, ending);
}

bool children_bury(struct supervisor *supervisor, struct child *child, int status,
                   const char *message, const char *name)
{
    if (supervisor->ending.phase == PHASE_ENDING)
        child->state = CHILD_RETIRING;
    bool asked = child->state == CHILD_RETIRING;
    log_death(child, status, message, name);
    count_end(supervisor, child, status);
    children_close_ready(child);
    child->state = CHILD_NONE;
    return asked;
}
