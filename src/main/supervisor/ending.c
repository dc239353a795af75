/* SPDX-License-Identifier: MIT */
#include "main/supervisor/ending.h"

#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <systemd/sd-daemon.h>

#include "base/clock.h"
#include "core/log.h"
#include "server/worker.h"

enum {
    KILL_AFTER_MS = 2000,             /* after DRAIN_TIMEOUT: for what has not ended by then */
    END_SLACK_MS = 2 * KILL_AFTER_MS, /* all has ended by then */
    REPEAT_AFTER_MS = 1000            /* a sooner second signal is the same wish: timeout(1) sends
                                         two */
};

/* Takes the next step: ends nginx if there is one, else the children. To be called again when
 * nginx has ended. */
static void go_on(struct supervisor *supervisor)
{
    struct ending *ending = &supervisor->ending;
    bool first = ending->phase < PHASE_ENDING_NGINX;
    atomic_store(&supervisor->shared->stopping, true);
    if (first)
        ending->until_ns = clock_after_ms(supervisor->options->parts->config->drain_timeout_ms);
    if (supervisor->nginx > 0) {
        if (first) { /* it waits for the answers to what it has handed over */
            children_signal(supervisor, WORKER_LEAVE);
            kill(supervisor->nginx, SIGQUIT);
        }
        ending->phase = PHASE_ENDING_NGINX;
    } else if (ending->phase != PHASE_ENDING) {
        ending->phase = PHASE_ENDING;
        listener_close(&supervisor->listener);
        children_signal(supervisor, WORKER_END);
    }
}

/* Is not ready from now on, and ends after PRE_DRAIN_DELAY. */
static void leave(struct supervisor *supervisor)
{
    const struct config *config = supervisor->options->parts->config;
    uint64_t delay_ms = config->pre_drain_delay_ms;
    atomic_store(&supervisor->shared->stopping, true);
    supervisor->ending.phase = PHASE_LEAVING;
    sd_notifyf(0, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%" PRIu64,
               (delay_ms + config->drain_timeout_ms + END_SLACK_MS) * US_PER_MS);
    supervisor->ending.leave_at_ns = clock_after_ms(delay_ms);
    if (delay_ms == 0)
        go_on(supervisor);
}

void ending_on_signal(struct supervisor *supervisor, const char *name)
{
    struct ending *ending = &supervisor->ending;
    uint64_t now_ns = clock_steady_ns();
    if (ending->phase == PHASE_RUNNING) {
        LOG(LOG_INFO, "ending", LOG_TEXT("signal", name));
        ending->asked_ns = now_ns;
        leave(supervisor);
    } else if (now_ns - ending->asked_ns > REPEAT_AFTER_MS * NS_PER_MS) {
        go_on(supervisor);
        ending->until_ns = now_ns - KILL_AFTER_MS * NS_PER_MS;
    }
}

void ending_act_on(struct supervisor *supervisor, enum children_verdict verdict)
{
    if (verdict == CHILDREN_FINE)
        return;
    supervisor->ending.failed = true;
    if (verdict == CHILDREN_UNUSABLE)
        go_on(supervisor);
}

void ending_bury_nginx(struct supervisor *supervisor, int status)
{
    pid_t group = supervisor->nginx;
    supervisor->nginx = 0;
    if (supervisor->ending.phase < PHASE_ENDING_NGINX) {
        kill(-group, SIGTERM); /* its workers would keep the port */
        LOG(LOG_CRITICAL, "nginx ended by itself", LOG_NUMBER("status", status));
        supervisor->ending.failed = true;
    }
    go_on(supervisor);
}

void ending_enforce(struct supervisor *supervisor)
{
    struct ending *ending = &supervisor->ending;
    uint64_t now_ns = clock_steady_ns();
    if (ending->phase == PHASE_LEAVING && now_ns >= ending->leave_at_ns)
        go_on(supervisor);
    if (ending->phase < PHASE_ENDING_NGINX || now_ns < ending->until_ns)
        return;
    if (ending->phase == PHASE_ENDING_NGINX)
        kill(supervisor->nginx, SIGTERM);
    if (now_ns < ending->until_ns + KILL_AFTER_MS * NS_PER_MS)
        return;
    log_message(LOG_ERROR, "the time to end is over: killing what is left");
    ending->failed = true;
    if (supervisor->nginx > 0)
        kill(-supervisor->nginx, SIGKILL); /* its workers too: it can no longer tell them */
    children_signal(supervisor, SIGKILL);
    ending->until_ns = now_ns;
}
