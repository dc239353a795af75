/* SPDX-License-Identifier: MIT
 *
 * Runs a back-end's follower during a unit test, in a process of its own as in the service. */
#ifndef SUPPORT_FOLLOWER_H
#define SUPPORT_FOLLOWER_H

#include <sys/types.h>

#include "store/store.h"

struct follower {
    pid_t pid;
    int stop_fd; /* closing it stops the follower */
};

/* Returns when the follower is ready. Failure ends the test. */
void follower_start(struct follower *follower, const struct store_backend *backend,
                    const struct store_options *options);
void follower_stop(struct follower *follower);

#endif
