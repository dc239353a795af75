/* SPDX-License-Identifier: MIT */
#include "main/supervisor/upgrade.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>

#include "base/clock.h"
#include "core/log.h"
#include "main/supervisor/follower.h"
#include "main/supervisor/takeover.h"
#include "main/supervisor/workers.h"

enum { REHEARSAL_MS = 10000 };

static void kill_overdue(const struct supervisor *supervisor)
{
    const struct upgrade *upgrade = &supervisor->upgrade;
    if (upgrade->rehearsal > 0 && (supervisor->ending.phase != PHASE_RUNNING ||
                                   clock_steady_ns() >= upgrade->rehearsal_until_ns))
        kill(upgrade->rehearsal, SIGKILL);
}

static void list_workers(struct takeover *takeover, const struct workers *workers)
{
    for (size_t i = 0; i < CHILDREN_MAX; i++) {
        const struct child *child = &workers->children[i];
        if (child->state == CHILD_NONE)
            continue;
        takeover->workers[takeover->workers_len].pid = child->pid;
        takeover->workers[takeover->workers_len++].retiring = child->state == CHILD_RETIRING;
    }
}

/* What there is to take over now. */
static const struct takeover *list(const struct supervisor *supervisor)
{
    static struct takeover takeover;
    takeover = (struct takeover){.listen_fd = supervisor->listener.fd,
                                 .lock_fd = supervisor->lock_fd,
                                 .shared_fd = supervisor->shared_fd,
                                 .socket_given = supervisor->listener.given,
                                 .nginx = supervisor->nginx};
    if (supervisor->follower.child.state != CHILD_NONE)
        takeover.follower = supervisor->follower.child.pid;
    list_workers(&takeover, &supervisor->workers);
    return &takeover;
}

void upgrade_rehearse(struct supervisor *supervisor)
{
    struct upgrade *upgrade = &supervisor->upgrade;
    kill_overdue(supervisor);
    if (!upgrade->wanted || upgrade->rehearsal > 0 || !workers_have_room(supervisor))
        return;
    upgrade->wanted = false;
    upgrade->rehearsal_until_ns = clock_after_ms(REHEARSAL_MS);
    upgrade->rehearsal = takeover_rehearse(list(supervisor), supervisor->options->with_nginx,
                                           &upgrade->rehearsal_fd);
    if (upgrade->rehearsal < 0) {
        LOG(LOG_ERROR, "cannot upgrade", LOG_TEXT("error", strerror(errno)));
        upgrade->rehearsal = 0;
    }
}

static void hand_over(const struct supervisor *supervisor)
{
    sd_notify(0, "RELOADING=1");
    log_message(LOG_INFO, "upgrade: going on as the new program");
    takeover_exec(list(supervisor), supervisor->options->with_nginx);
    LOG(LOG_ERROR, "cannot upgrade", LOG_TEXT("error", strerror(errno)));
    sd_notify(0, "READY=1");
}

void upgrade_judge_rehearsal(struct supervisor *supervisor, int status)
{
    struct upgrade *upgrade = &supervisor->upgrade;
    upgrade->rehearsal = 0;
    bool could = takeover_was_told_ready(upgrade->rehearsal_fd) && WIFEXITED(status) &&
                 WEXITSTATUS(status) == EXIT_SUCCESS;
    if (supervisor->ending.phase != PHASE_RUNNING ||
        upgrade->wanted) /* again: it may be yet another program by now */
        return;
    if (could)
        hand_over(supervisor);
    else
        log_message(LOG_ERROR,
                    "cannot upgrade: the new program does not run here; what it wrote to "
                    "standard error or its check-config says why");
}

void upgrade_take_over(struct supervisor *supervisor)
{
    const struct takeover *earlier = &supervisor->upgrade.earlier;
    workers_adopt(supervisor, earlier);
    if (earlier->follower > 0)
        follower_adopt(supervisor, earlier->follower);
    log_message(LOG_INFO, "upgrade: starting new workers");
}
