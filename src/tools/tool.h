/* SPDX-License-Identifier: MIT
 *
 * What commands that work on a store have in common: the store, opened for one command, and how far
 * they have come. */
#ifndef TOOLS_TOOL_H
#define TOOLS_TOOL_H

#include <stdio.h>

#include "service/service.h"

struct tool {
    struct service service;
    struct service_session session;
    struct service_caller caller; /* named after the command */
};

/* Opens the store for the command `name`; creates it when missing. False with a sentence in
 * `error`, and nothing to close. */
MUST_CHECK bool tool_open(struct tool *tool, const char *name, const struct config *config,
                          const struct store_backend *backend, char *error, size_t error_size);
void tool_close(struct tool *tool);

/* A sentence about an outcome that is no success. */
const char *tool_explain(enum store_status status);

/* How far a command has come, shown on a terminal. */
struct tool_progress {
    FILE *messages;
    bool shown;
    const char *doing;
    size_t count;
};

struct tool_progress tool_progress_begin(FILE *messages, const char *doing);
/* One more; `progress` is a struct tool_progress. */
void tool_progress_step(void *progress);
void tool_progress_end(const struct tool_progress *progress);

#endif
