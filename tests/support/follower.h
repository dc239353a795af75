/* SPDX-License-Identifier: MIT
 *
 * A back-end's follower beside a unit test, in a process of its own as in the service. */
#ifndef SUPPORT_FOLLOWER_H
#define SUPPORT_FOLLOWER_H

#include <sys/types.h>

#include "store/store.h"

struct follower {
    pid_t pid;
    int stop_fd; /* closing it ends the follower */
};

/* Returns when the follower is ready. A failure ends the test. */
void follower_start(struct follower *follower, const struct store_backend *backend,
                    const struct store_options *options);
void follower_stop(struct follower *follower);

#endif
