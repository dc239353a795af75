/* SPDX-License-Identifier: MIT
 *
 * The follower process, which maintains this host's replica of the database (see `follow` in struct
 * store_backend). It handles the same signals as a worker, and has the same exit statuses. */
#ifndef SERVER_FOLLOWER_H
#define SERVER_FOLLOWER_H

#include "app/app.h"

struct follower_options {
    const struct app_parts *parts; /* the back-end must have a follower */
    int ready_fd;                  /* a byte is written when workers may start; closed at the end */
};

/* Follows the database until told to stop; returns an exit status. The caller has blocked all
 * signals. */
int follower_run(const struct follower_options *options);

#endif
