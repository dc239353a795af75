/* SPDX-License-Identifier: MIT
 *
 * Any text as a document of a database, of which nothing may be opened that was not sealed. */
#include <stdlib.h>

#include "seal/seal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct vault vault;
    static const struct seal_place place = {.revision = 1, .id = STR_INIT("a")};
    char fault[VAULT_FAULT_SIZE];
    struct buffer scratch = {0};
    struct buffer out = {0};
    struct str text = {(const char *)data, size};
    if (vault.len == 0 &&
        !vault_parse(STR("k1 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="), &vault, fault))
        abort();
    enum seal_outcome outcome = seal_open(&vault, &place, text, &scratch, &out);
    if (outcome == SEAL_OPENED || out.len > 0)
        abort();
    seal_append_unreadable(text, STR("why"), &out);
    if ((out.len > 0) != (seal_key_name(text).len > 0))
        abort();
    buffer_release(&scratch);
    buffer_release(&out);
    return 0;
}
