/* SPDX-License-Identifier: MIT
 *
 * Any bytes as an import: read, or refused with a sentence; what is read has ids and documents. */
#include <stdlib.h>

#include "model/integration.h"
#include "tools/transfer.h"

static const struct vault no_keys = {0};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = {0};
    struct buffer text = {0};
    struct transfer_list list;
    char error[TRANSFER_ERROR_SIZE] = "";
    buffer_append(&text, data, size);
    buffer_append_char(&text, '\0');
    text.len--;
    bool parsed = transfer_parse(&arena, &no_keys, buffer_str(&text), &list, error);
    if (parsed ? error[0] != '\0' : error[0] == '\0')
        abort();
    for (size_t i = 0; parsed && i < list.len; i++)
        if (!integration_id_is_valid(list.changes[i].id) || list.changes[i].document.len < 60)
            abort();
    transfer_release(&list);
    buffer_release(&text);
    arena_release(&arena);
    return 0;
}
