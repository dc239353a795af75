/* SPDX-License-Identifier: MIT
 *
 * The state of the supervisor, for the files of this folder alone: one process, one thread. Each
 * part names the file that writes it; the others read it. */
#ifndef MAIN_SUPERVISOR_STATE_H
#define MAIN_SUPERVISOR_STATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/metrics.h"
#include "main/listener.h"
#include "main/supervisor/supervisor.h"
#include "main/supervisor/takeover.h"

enum {
    CHILDREN_MAX = TAKEOVER_WORKERS_MAX, /* workers that start, serve and retire at the same time */
    US_PER_MS = 1000
};

enum child_state {
    CHILD_NONE,     /* the place is free */
    CHILD_STARTING, /* forked, not ready yet */
    CHILD_SERVING,
    CHILD_RETIRING /* asked to end, or ends by itself; another one takes its place */
};

/* A worker, or the follower. */
struct child {
    enum child_state state;
    pid_t pid;
    unsigned generation;
    int ready_fd; /* a pipe: the child writes a byte when it is ready, and closes its end when it
                     stops; -1: closed on this side too */
    uint64_t kill_at_ns; /* if it has been stopped (SIGSTOP) until then; 0: it runs */
};

/* workers.c */
struct workers {
    struct child children[CHILDREN_MAX];
    size_t wanted;                 /* in a generation; set by supervisor.c */
    unsigned generation;           /* the current one; each reload begins the next */
    bool reload_wanted;            /* set by events.c */
    bool were_ready;               /* all of them, once; or those of an earlier program */
    unsigned first_request_deaths; /* in a row: of workers that died before they had answered one */
    uint64_t fork_not_before_ns;
};

/* follower.c. Only a store with a replica has one; then workers start when it is ready. */
struct follower {
    struct child child;
    bool was_ready; /* once */
    uint64_t fork_not_before_ns;
};

/* upgrade.c */
struct upgrade {
    bool took_over;          /* from an earlier program of this process; set by supervisor.c */
    struct takeover earlier; /* what it left; set by supervisor.c */
    bool wanted;             /* set by events.c too */
    pid_t rehearsal;         /* tries whether the new program could run; 0: none is under way */
    int rehearsal_fd;        /* a pipe from it */
    uint64_t rehearsal_until_ns;
};

/* In this order. A phase may be left out, but none comes back. */
enum phase {
    PHASE_RUNNING,
    PHASE_LEAVING,      /* still serving, but no longer ready */
    PHASE_ENDING_NGINX, /* the workers answer what nginx still hands over */
    PHASE_ENDING        /* the workers and the follower end */
};

/* ending.c */
struct ending {
    enum phase phase;
    uint64_t asked_ns;    /* when the first signal to end came */
    uint64_t leave_at_ns; /* when PHASE_LEAVING is over */
    uint64_t until_ns;    /* when nginx is stopped; soon after that, all is killed */
    bool failed;          /* the exit status is 1 */
};

/* events.c */
struct watchdog {
    uint64_t period_ms; /* of the signs of life that the service manager wants; 0: it wants none */
    uint64_t next_ns;   /* when the next one is due */
};

/* Memory that the supervisor shares with the workers. After an upgrade, workers of the program
 * before still use it: members never move. */
struct shared {
    atomic_bool stopping;             /* the service is about to end; set by ending.c */
    atomic_bool served[CHILDREN_MAX]; /* by place in `children`: the worker answered a request, and
                                         the store did not break; cleared by workers.c, set by the
                                         worker, and for adopted ones by workers.c */
};

struct supervisor {
    /* supervisor.c */
    const struct supervisor_options *options;
    uint64_t started_us; /* wall clock */
    int lock_fd;         /* of the state directory */
    int shared_fd;
    struct shared *shared;
    struct metrics_labels labels;
    struct metrics *metrics; /* for what the supervisor counts */
    struct metrics_slot slot;
    struct listener listener; /* closed by ending.c, in PHASE_ENDING */
    pid_t nginx;              /* 0: none; set to that by ending.c when it has ended */
    /* events.c */
    int signal_fd;
    bool announced; /* nginx answers, and whoever started it has been told */
    struct watchdog watchdog;
    /* the file of that name */
    struct workers workers;
    struct follower follower;
    struct upgrade upgrade;
    struct ending ending;
};

#endif
