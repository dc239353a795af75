/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "model/integration.h"
#include "model/json.h"
#include "tools/tool.h"
#include "tools/transfer.h"

/* What is in the store, all of which is to be removed. */
struct present {
    struct arena *arena;
    struct transfer_list list;
    bool readable;
};

static bool note_removal(void *context, const struct store_record *record)
{
    struct present *present = context;
    struct str values[INTEGRATION_FIELDS];
    struct str document = arena_copy(present->arena, record->document);
    struct str id = {NULL, 0};
    if (document.data != NULL && integration_split(present->arena, document, values))
        id = json_decode_string(present->arena, values[INTEGRATION_ID]);
    present->readable =
        id.data != NULL &&
        transfer_add(&present->list, &(struct store_change){.operation = STORE_REMOVE, .id = id});
    return present->readable;
}

/* Removes what is there and creates what is in the list, in one change, so that nobody sees
 * anything between, and no revision is given twice. Returns false if what is there cannot be read.
 */
static bool replace(struct tool *tool, struct arena *arena, const struct transfer_list *list,
                    enum store_status *status)
{
    struct present present = {.arena = arena, .readable = true};
    struct store_read read = {0};
    *status = service_list(&tool->session, &tool->caller, &read, note_removal, &present);
    bool readable = *status == STORE_OK && present.readable;
    for (size_t i = 0; readable && i < list->len; i++) {
        struct store_change change = list->changes[i];
        change.operation = STORE_CREATE;
        readable = transfer_add(&present.list, &change);
    }
    const struct store_batch batch = {
        .changes = present.list.changes, .len = present.list.len, .if_store = &read.version};
    struct store_batch made = batch;
    if (readable && batch.len > 0)
        *status = service_change(&tool->session, &tool->caller, &made);
    transfer_release(&present.list);
    return readable;
}

/* Restores into the store that is there. *unusable: it cannot be opened or read. */
static bool restore_into(const struct config *config, const struct store_backend *backend,
                         struct arena *arena, const struct transfer_list *list, bool *unusable,
                         char *error)
{
    struct tool tool;
    enum store_status status = STORE_CHANGED;
    bool readable = true;
    *unusable = !tool_open(&tool, "restore", config, backend, error, TRANSFER_ERROR_SIZE);
    if (*unusable)
        return false;
    while (readable && status == STORE_CHANGED) /* somebody else changes it */
        readable = replace(&tool, arena, list, &status);
    tool_close(&tool);
    *unusable = !readable;
    if (readable && status == STORE_OK)
        return true;
    return TRANSFER_FAIL(error, "nothing was restored: %s", tool_explain(status));
}

static bool restore_list(const struct config *config, const struct store_backend *backend,
                         struct arena *arena, const struct transfer_list *list, FILE *messages,
                         char *error)
{
    bool unusable;
    if (!restore_into(config, backend, arena, list, &unusable, error)) {
        if (!unusable)
            return false;
        fprintf(messages, "integration-service: %s\n", error);
        if (!service_set_aside(config, backend, error, TRANSFER_ERROR_SIZE))
            return false;
        fprintf(messages, "%s\n", error); /* where it was put */
        if (!restore_into(config, backend, arena, list, &unusable, error))
            return false;
    }
    fprintf(messages, "restored %zu integrations\n", list->len);
    return true;
}

bool transfer_restore(const struct config *config, const struct store_backend *backend, FILE *in,
                      FILE *messages, char *error)
{
    struct arena arena = {0};
    struct buffer text = {0};
    struct transfer_list list = {0};
    if (service_is_followed(backend))
        return TRANSFER_FAIL(error,
                             "restore is for the embedded store: restore a database with its "
                             "own tools (pg_restore), the service follows it; or import");
    bool restored = transfer_read(in, &text, error) &&
                    transfer_parse(&arena, buffer_str(&text), &list, error) &&
                    restore_list(config, backend, &arena, &list, messages, error);
    transfer_release(&list);
    buffer_release(&text);
    arena_release(&arena);
    return restored;
}
