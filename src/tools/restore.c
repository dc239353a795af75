/* SPDX-License-Identifier: MIT */
#include "model/integration.h"
#include "model/json.h"
#include "tools/tool.h"
#include "tools/transfer.h"

enum { TRIES_MAX = 20 }; /* while others change the store */

/* The changes that make the store hold something else: first all removals. */
struct plan {
    struct arena *arena;
    struct transfer_list list;
    bool has_memory;
};

static bool add(struct plan *plan, const struct store_change *change)
{
    plan->has_memory = transfer_add(&plan->list, change) && !plan->arena->failed;
    return plan->has_memory;
}

static bool plan_removal(void *context, const struct store_record *record)
{
    struct plan *plan = context;
    struct store_change change = {.operation = STORE_REMOVE};
    struct str document = arena_copy(plan->arena, record->document);
    if (document.data != NULL)
        change.id = integration_id(plan->arena, document);
    return add(plan, &change); /* without an id, it is found to be missing */
}

/* Removes what is there and creates what is in the list, in one change, so that nobody sees
 * anything between, and no revision is given twice. */
static enum store_status replace(struct tool *tool, struct transfer_input *input, bool *has_memory)
{
    struct plan plan = {.arena = &input->arena, .has_memory = true};
    struct store_read read = {0};
    enum store_status status =
        service_list(&tool->session, &tool->caller, &read, plan_removal, &plan);
    for (size_t i = 0; plan.has_memory && i < input->list.len; i++) {
        struct store_change change = input->list.changes[i];
        change.operation = STORE_CREATE;
        (void)add(&plan, &change);
    }
    struct store_batch batch = {
        .changes = plan.list.changes, .len = plan.list.len, .if_store = &read.version};
    if (status == STORE_OK && plan.has_memory && batch.len > 0)
        status = service_change(&tool->session, &tool->caller, &batch);
    transfer_release(&plan.list);
    *has_memory = plan.has_memory;
    return status;
}

/* Restores into the store that is there. On failure, *damaged: it may be damaged. */
static bool restore_into(const struct config *config, const struct store_backend *backend,
                         struct transfer_input *input, bool *damaged, char *error)
{
    struct tool tool;
    bool has_memory = true;
    enum store_status status;
    int tries = 0;
    *damaged = true;
    if (!tool_open(&tool, "restore", config, backend, error, TRANSFER_ERROR_SIZE))
        return false;
    do
        status = replace(&tool, input, &has_memory);
    while (status == STORE_CHANGED && has_memory && ++tries < TRIES_MAX);
    tool_close(&tool);
    *damaged = status == STORE_DAMAGED || status == STORE_BROKEN;
    if (!has_memory)
        return TRANSFER_FAIL(error, "nothing was restored: no memory for what is in the store");
    if (status == STORE_CHANGED)
        return TRANSFER_FAIL(error, "nothing was restored: others change the store all the time: "
                                    "stop them, or the service");
    if (status != STORE_OK)
        return TRANSFER_FAIL(error, "nothing was restored: %s", tool_explain(status));
    return true;
}

static bool restore_list(const struct config *config, const struct store_backend *backend,
                         struct transfer_input *input, FILE *messages, char *error)
{
    bool damaged;
    if (!restore_into(config, backend, input, &damaged, error)) {
        if (!damaged)
            return false;
        fprintf(messages, "integration-service: %s\n", error);
        if (!service_set_aside(config, backend, error, TRANSFER_ERROR_SIZE))
            return false;
        fprintf(messages, "%s\n", error); /* where it was put */
        if (!restore_into(config, backend, input, &damaged, error))
            return false;
    }
    fprintf(messages, "restored %zu integrations\n", input->list.len);
    return true;
}

static bool is_whole(const struct transfer_input *input, char *error)
{
    return !input->list.cut_off ||
           TRANSFER_FAIL(error, "nothing was restored: the last line of the export is missing, so "
                                "it was cut off (`import` takes what is there)");
}

bool transfer_restore(const struct config *config, const struct store_backend *backend, FILE *in,
                      FILE *messages, char *error)
{
    struct transfer_input input;
    if (service_is_followed(backend))
        return TRANSFER_FAIL(error,
                             "restore is for the embedded store: restore a database with its "
                             "own tools (pg_restore), the service follows it; or import");
    bool restored = transfer_read(config, in, &input, error) && is_whole(&input, error) &&
                    restore_list(config, backend, &input, messages, error);
    transfer_input_release(&input);
    return restored;
}
