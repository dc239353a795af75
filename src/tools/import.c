/* SPDX-License-Identifier: MIT */
#include "tools/tool.h"
#include "tools/transfer.h"

enum {
    TOGETHER_MAX = 1000, /* changes */
    TOGETHER_BYTES = 4 << 20
};

/* The number of changes from `first` on that are made together: all, or with a database, where the
 * hosts wait for each other, what takes a moment. */
static size_t count_together(const struct service *service, const struct transfer_list *list,
                             size_t first)
{
    size_t len = 0;
    size_t bytes = 0;
    if (!service_replicates(service))
        return list->len;
    while (first + len < list->len && len < TOGETHER_MAX && bytes < TOGETHER_BYTES)
        bytes += list->changes[first + len++].document.len;
    return len;
}

/* Puts everything; sets `*done` to how many were put. */
static enum store_status put(struct tool *tool, const struct transfer_list *list, size_t *done,
                             size_t *created)
{
    enum store_status status = STORE_OK;
    *done = 0;
    *created = 0;
    while (status == STORE_OK && *done < list->len) {
        struct store_batch batch = {.changes = list->changes + *done};
        batch.len = count_together(&tool->service, list, *done);
        batch.more = *done + batch.len < list->len;
        status = service_change(&tool->session, &tool->caller, &batch);
        if (status == STORE_OK) {
            *done += batch.len;
            *created += batch.created;
        }
    }
    return status;
}

static bool put_all(const struct config *config, const struct store_backend *backend,
                    const struct transfer_list *list, FILE *messages, char *error)
{
    struct tool tool;
    size_t done;
    size_t created;
    if (!tool_open(&tool, "import", config, backend, error, TRANSFER_ERROR_SIZE))
        return false;
    enum store_status status = put(&tool, list, &done, &created);
    tool_close(&tool);
    if (status != STORE_OK && status != STORE_UNKNOWN && done == 0)
        return TRANSFER_FAIL(error, "nothing was imported: %s", tool_explain(status));
    if (status != STORE_OK)
        return TRANSFER_FAIL(
            error,
            "only the first %zu of %zu are known to be imported: %s. To import the "
            "same file again does no harm",
            done, list->len, tool_explain(status));
    fprintf(messages, "imported %zu integrations: %zu created, %zu replaced\n", list->len, created,
            list->len - created);
    return true;
}

bool transfer_import(const struct config *config, const struct store_backend *backend, FILE *in,
                     FILE *messages, char *error)
{
    struct transfer_input input;
    bool imported = transfer_read(config, in, &input, error) &&
                    put_all(config, backend, &input.list, messages, error);
    transfer_input_release(&input);
    return imported;
}
