/* SPDX-License-Identifier: MIT
 *
 * The supervisor: binds, forks the workers, replaces the dead, drains. It opens no store and parses
 * no request, so nothing that a client sends can end it.
 *
 *   SIGTERM, SIGINT   end: nginx first (if it is ours), then the workers, each after its requests;
 *                     again, a second later or more: end at once
 *   SIGHUP            new workers, and when they serve, the old ones retire
 *   SIGUSR2           the same with the program that is now in this one's place
 *
 * It reports to systemd how the service is doing (sd_notify(3)), and takes a socket from it
 * (sd_listen_fds(3)). */
#ifndef MAIN_SUPERVISOR_SUPERVISOR_H
#define MAIN_SUPERVISOR_SUPERVISOR_H

#include <stdbool.h>

#include "app/app.h"

struct supervisor_options {
    const struct app_parts *parts;
    bool with_nginx;
};

/* Runs until told to end, or until the service cannot start; returns the program's exit status.
 * Errors before the start are sentences on standard error; after it they are in the log. */
int supervisor_run(const struct supervisor_options *options);

#endif
