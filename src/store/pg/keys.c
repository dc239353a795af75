/* SPDX-License-Identifier: MIT */
#include "store/pg/keys.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>

#include "base/clock.h"
#include "core/log.h"
#include "store/lmdb/resealing.h"
#include "store/pg/resealing.h"

enum { AGAIN_MS = 15000, BETWEEN_STEPS_MS = 2, COPIES_MAX = 3 };

/* Returns false if it was not done to the end. */
static bool reseal(struct pg_store *store, struct store_resealing *resealing, uint64_t limit_ms,
                   int stop_fd)
{
    struct sealing sealing = {.vault = store->options.vault};
    struct buffer scratch = {0};
    struct pollfd stop = {stop_fd, POLLIN, 0};
    enum store_status status = STORE_OK;
    /* Between the steps others write, too. */
    while (status == STORE_OK && !resealing->done && poll(&stop, 1, BETWEEN_STEPS_MS) <= 0) {
        resealing->deadline_ns = clock_after_ms(limit_ms);
        status = resealing_step(&store->replica, &sealing, resealing, &scratch);
    }
    sealing_release(&sealing);
    buffer_release(&scratch);
    if (resealing->documents > 0)
        LOG(LOG_INFO, "the replica was sealed anew",
            LOG_NUMBER("integrations", (int64_t)resealing->documents));
    return resealing->done;
}

bool pg_keys_seal(struct pg_keys *keys, struct pg_store *store, struct documents_reader *reader,
                  uint64_t limit_ms, int stop_fd)
{
    struct store_resealing resealing = {.done = false};
    struct store_version mark;
    bool differ = false;
    if (clock_steady_ns() < keys->seal_not_before_ns ||
        documents_get_version(reader, &mark) != STORE_OK ||
        store_version_equal(mark, keys->sealed_at) ||
        holdings_differ(&store->replica, reader->txn, vault_first(store->options.vault), &differ) !=
            STORE_OK)
        return false;
    bool done = !differ || reseal(store, &resealing, limit_ms, stop_fd);
    bool copies = resealing.unreadable > 0 && keys->copies < COPIES_MAX;
    keys->copies += copies;
    keys->sealed_at = done && !copies ? mark : (struct store_version){0};
    if (differ && resealing.documents == 0 && !copies)
        keys->seal_not_before_ns = clock_after_ms(AGAIN_MS);
    return copies;
}

/* Writes what keys hold in the database to the replica. */
static void keep(struct environment *replica, const struct store_holding *held, size_t len,
                 uint64_t limit_ms)
{
    struct documents_change to;
    if (documents_begin(replica, clock_after_ms(limit_ms), &to) != STORE_OK)
        return;
    enum store_status status = environment_status(
        replica, holdings_note(replica, to.txn, held, len), "writing what keys hold");
    if (documents_end(&to, status) != STORE_OK)
        log_message(LOG_WARNING, "what keys hold could not be noted");
}

bool pg_keys_look(struct pg_keys *keys, struct pg_store *store, struct pg *pg, uint64_t limit_ms,
                  char *reason, size_t reason_size)
{
    struct store_holding held[VAULT_KEYS_MAX];
    size_t len;
    keys->looked_ns = clock_steady_ns();
    if (pg_resealing_ask(pg, clock_after_ms(limit_ms), held, &len) != PG_OK)
        return true; /* what is wrong is found out by who needs it */
    for (size_t i = 0; i < len; i++)
        if (vault_find(store->options.vault, str_from(held[i].key)) == NULL) {
            snprintf(reason, reason_size,
                     "ENCRYPTION_KEYS_FILE has no key \"%s\", with which %" PRIu64
                     " integrations and %" PRIu64 " earlier versions are sealed",
                     held[i].key, held[i].documents, held[i].versions);
            return false;
        }
    keep(&store->replica, held, len, limit_ms);
    return true;
}

bool pg_keys_are_due(const struct pg_keys *keys)
{
    return clock_steady_ns() > keys->looked_ns + AGAIN_MS * NS_PER_MS;
}
