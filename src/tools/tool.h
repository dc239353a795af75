/* SPDX-License-Identifier: MIT
 *
 * Common parts of commands that work on a store: opening the store for a command, and displaying
 * progress. */
#ifndef TOOLS_TOOL_H
#define TOOLS_TOOL_H

#include <stdio.h>

#include "service/service.h"

struct tool {
    struct vault vault;
    struct service service;
    struct service_session session;
    struct service_caller caller; /* its actor is the name of the command */
};

/* Opens the store for the command `name`, creating it if it does not exist. On failure returns
 * false with a message in `error`, and there is nothing to close. */
MUST_CHECK bool tool_open(struct tool *tool, const char *name, const struct config *config,
                          const struct store_backend *backend, char *error, size_t error_size);
void tool_close(struct tool *tool);

/* Returns a message for a status other than STORE_OK. */
const char *tool_explain(enum store_status status);

/* The progress of a command, displayed on a terminal. */
struct tool_progress {
    FILE *messages;
    bool shown;
    const char *doing;
    size_t count;
};

struct tool_progress tool_progress_begin(FILE *messages, const char *doing);
/* Counts one more item; `progress` points to a struct tool_progress. */
void tool_progress_step(void *progress);
void tool_progress_end(const struct tool_progress *progress);

#endif
