/* SPDX-License-Identifier: MIT */
#include "tools/tool.h"

#include <unistd.h>

#include "base/directory.h"

enum { PROGRESS_EVERY = 1000 /* in integrations */ };

bool tool_open(struct tool *tool, const char *name, const struct config *config,
               const struct store_backend *backend, char *error, size_t error_size)
{
    tool->caller =
        (struct service_caller){.author.actor = str_from(name), .deadline_ns = UINT64_MAX};
    if (!vault_open(config->encryption_keys_file, &tool->vault, error, error_size))
        return false;
    if (directory_prepare(config->state_dir, "STATE_DIR", error, error_size) &&
        service_open(&tool->service, config, &tool->vault, backend, SERVICE_ALONE, error,
                     error_size)) {
        if (service_session_open(&tool->service, &tool->session, NULL))
            return true;
        service_close(&tool->service);
        snprintf(error, error_size, "cannot open a session of the store");
    }
    vault_release(&tool->vault);
    return false;
}

void tool_close(struct tool *tool)
{
    service_session_close(&tool->session);
    service_close(&tool->service);
    vault_release(&tool->vault);
}

const char *tool_explain(enum store_status status)
{
    switch (status) {
    case STORE_FULL:
        return "the store is full: raise STORE_MAX_BYTES or free disk space";
    case STORE_AWAY:
        return "the store did not take it in time: see the lines before";
    case STORE_UNKNOWN:
        return "the connection to the database was lost while it made the next";
    case STORE_SEALED:
        return "an integration is sealed with a key that ENCRYPTION_KEYS_FILE lacks";
    case STORE_DAMAGED:
        return "an integration in the store is damaged: restore a backup (integration-service "
               "restore FILE)";
    case STORE_OK:
    case STORE_NOT_FOUND:
    case STORE_EXISTS:
    case STORE_CHANGED:
    case STORE_BROKEN:
        break;
    }
    return "the store failed: see the lines before";
}

struct tool_progress tool_progress_begin(FILE *messages, const char *doing)
{
    return (struct tool_progress){messages, isatty(fileno(messages)), doing, 0};
}

void tool_progress_step(void *progress)
{
    struct tool_progress *this = progress;
    this->count++;
    if (this->shown && this->count % PROGRESS_EVERY == 0)
        fprintf(this->messages, "\r%s %zu", this->doing, this->count);
}

void tool_progress_end(const struct tool_progress *progress)
{
    if (progress->shown && progress->count >= PROGRESS_EVERY)
        fputs("\r\033[K", progress->messages); /* clears the line (ECMA-48, EL) */
}
