/* SPDX-License-Identifier: MIT */
#include "tools/rekey.h"

#include <inttypes.h>
#include <poll.h>

#include "base/clock.h"
#include "tools/tool.h"

enum {
    STEP_MS = 30000,
    BETWEEN_STEPS_MS = 2,
    TRIES_MAX = 3,
    PASSES_MAX = 10 /* while others write with another key */
};

/* Goes through the store once. */
static enum store_status pass(struct tool *tool, struct store_resealing *resealing)
{
    enum store_status status = STORE_OK;
    *resealing = (struct store_resealing){0};
    int tries = 0;
    while (status == STORE_OK && !resealing->done) {
        tool->caller.deadline_ns = clock_after_ms(STEP_MS);
        status = service_reseal(&tool->session, &tool->caller, resealing);
        tries = status == STORE_AWAY ? tries + 1 : 0; /* others were in the way, perhaps */
        if (tries > 0 && tries < TRIES_MAX)
            status = STORE_OK;
        (void)poll(NULL, 0, BETWEEN_STEPS_MS); /* others write, too */
    }
    return status;
}

/* Goes through the store until a pass finds nothing to do. Adds up what was done. */
static enum store_status pass_all(struct tool *tool, struct store_resealing *total)
{
    struct store_resealing one;
    enum store_status status = STORE_OK;
    for (int i = 0; i < PASSES_MAX && status == STORE_OK; i++) {
        status = pass(tool, &one);
        total->documents += one.documents;
        total->versions += one.versions;
        total->unreadable = one.unreadable;
        if (one.documents == 0 && one.versions == 0)
            break;
    }
    return status;
}

static bool is_first(const struct vault *vault, const char *name)
{
    const struct vault_key *first = vault_first(vault);
    return first != NULL && str_equal(str_from(first->name), str_from(name));
}

/* Tells what each key holds, those of the file and others. */
static enum store_status tell(struct tool *tool, FILE *out)
{
    struct store_holding held[VAULT_KEYS_MAX];
    size_t len = 0;
    struct store_read read = {.fresh = true, .deadline_ns = clock_after_ms(STEP_MS)};
    enum store_status status = service_holdings(&tool->session, &read, held, &len);
    for (size_t i = 0; i < len; i++)
        fprintf(out, "key %s: %" PRIu64 " integrations, %" PRIu64 " earlier versions\n",
                held[i].key, held[i].documents, held[i].versions);
    for (size_t i = 0; i < tool->vault.len && status == STORE_OK; i++) {
        const char *name = tool->vault.keys[i].name;
        size_t at = 0;
        while (at < len && !str_equal(str_from(held[at].key), str_from(name)))
            at++;
        if (at == len && !is_first(&tool->vault, name))
            fprintf(out, "key %s: nothing, so it can be taken out of ENCRYPTION_KEYS_FILE\n", name);
    }
    return status;
}

bool rekey_run(const struct config *config, const struct store_backend *backend, FILE *out,
               char error[REKEY_ERROR_SIZE])
{
    struct tool tool;
    struct store_resealing total = {0};
    if (!tool_open(&tool, "rekey", config, backend, error, REKEY_ERROR_SIZE))
        return false;
    enum store_status status = pass_all(&tool, &total);
    fprintf(out, "%s %" PRIu64 " integrations and %" PRIu64 " earlier versions\n",
            vault_first(&tool.vault) == NULL ? "unsealed" : "sealed", total.documents,
            total.versions);
    if (status == STORE_OK)
        status = tell(&tool, out);
    tool_close(&tool);
    if (status != STORE_OK)
        snprintf(error, REKEY_ERROR_SIZE, "not all was done: %s", tool_explain(status));
    else if (total.unreadable > 0)
        snprintf(error, REKEY_ERROR_SIZE,
                 "%" PRIu64 " integrations or earlier versions cannot be opened, and stay as they "
                 "are: restore earlier versions of these integrations, or write them anew",
                 total.unreadable);
    return status == STORE_OK && total.unreadable == 0;
}
