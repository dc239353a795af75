/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "tools/tool.h"
#include "tools/transfer.h"

enum { READ_SIZE = 64 * 1024 };

static bool read_all(FILE *in, struct buffer *text, char *error)
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

static bool put_all(const struct config *config, const struct store_backend *backend,
                    const struct transfer_list *list, FILE *messages, char *error)
{
    struct tool tool;
    struct store_batch batch = {.changes = list->changes, .len = list->len};
    enum store_status status = STORE_OK;
    if (!tool_open(&tool, "import", config, backend, error, TRANSFER_ERROR_SIZE))
        return false;
    if (list->len > 0)
        status = service_change(&tool.session, &tool.caller, &batch);
    tool_close(&tool);
    if (status != STORE_OK)
        return TRANSFER_FAIL(error, "nothing was imported: %s", tool_explain(status));
    fprintf(messages, "imported %zu integrations: %zu created, %zu replaced\n", list->len,
            batch.created, list->len - batch.created);
    return true;
}

bool transfer_import(const struct config *config, const struct store_backend *backend, FILE *in,
                     FILE *messages, char *error)
{
    struct arena arena = {0};
    struct buffer text = {0};
    struct transfer_list list = {0};
    bool imported = read_all(in, &text, error) &&
                    transfer_parse(&arena, buffer_str(&text), &list, error) &&
                    put_all(config, backend, &list, messages, error);
    transfer_release(&list);
    buffer_release(&text);
    arena_release(&arena);
    return imported;
}
