/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "tools/tool.h"
#include "tools/transfer.h"

enum {
    READ_SIZE = 64 * 1024,
    TOGETHER_MAX = 1000, /* changes */
    TOGETHER_BYTES = 4 << 20
};

bool transfer_read(FILE *in, struct buffer *text, char *error)
{
    size_t got;
    do {
        char *room = buffer_reserve(text, READ_SIZE);
        if (room == NULL)
            return TRANSFER_FAIL(error, "no memory for what is to be imported");
        got = fread(room, 1, READ_SIZE, in);
        text->len += got;
    } while (got > 0);
    if (ferror(in))
        return TRANSFER_FAIL(error, "cannot read: %s", strerror(errno));
    buffer_append_char(text, '\0');
    text->len--;
    return true;
}

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
    struct arena arena = {0};
    struct buffer text = {0};
    struct transfer_list list = {0};
    bool imported = transfer_read(in, &text, error) &&
                    transfer_parse(&arena, buffer_str(&text), &list, error) &&
                    put_all(config, backend, &list, messages, error);
    transfer_release(&list);
    buffer_release(&text);
    arena_release(&arena);
    return imported;
}
