/* SPDX-License-Identifier: MIT
 *
 * The follower process: keeps this host's replica of the database (struct store_backend, follow).
 * It understands the same signals as a worker, and exits with the same statuses. */
#ifndef SERVER_FOLLOWER_H
#define SERVER_FOLLOWER_H

#include "core/config.h"
#include "store/store.h"

struct follower_options {
    const struct config *config;
    const struct store_backend *backend; /* one with a follower */
    int ready_fd;                        /* gets a byte when workers may start; closed at the end */
};

/* Follows until told to stop; returns an exit status. The caller has blocked all signals. */
int follower_run(const struct follower_options *options);

#endif
