/* SPDX-License-Identifier: MIT
 *
 * Any text as DATABASE_URL: taken, or refused with a sentence. */
#include <stdlib.h>

#include "store/pg/target.h"
#include "store/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer ignored = {0};
    char error[256] = "";
    char *url = calloc(1, size + 1);
    if (url == NULL)
        return 0;
    memcpy(url, data, size);
    if (!store_pg_check(url, &ignored, error, sizeof error) && error[0] == '\0')
        abort();
    buffer_release(&ignored);
    free(url);
    return 0;
}
