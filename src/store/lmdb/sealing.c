/* SPDX-License-Identifier: MIT */
#include "store/lmdb/sealing.h"

#include <inttypes.h>
#include <stdio.h>

_Static_assert((int)SEAL_STORE_LEN == (int)STORE_MASK_KEY_LEN, "a store's random key tells it");

/* Reads what keys the content of an environment needs. */
static enum store_status read_holdings(struct environment *environment, struct holdings *holdings)
{
    struct environment_meta meta = {0};
    MDB_txn *txn;
    holdings->len = 0;
    int code = environment_open_reader(environment, &txn);
    if (code != MDB_SUCCESS)
        return environment_status(environment, code, "opening a session");
    code = environment_begin_read(environment, txn);
    if (code == MDB_SUCCESS) {
        code = environment_read_meta(environment, txn, &meta);
        if (code == MDB_SUCCESS)
            code =
                holdings_read(environment, txn, environment_content(environment, &meta), holdings);
        environment_end_read(environment, txn);
    }
    mdb_txn_abort(txn);
    return environment_status(environment, code, "reading what keys hold");
}

bool sealing_has_keys(struct environment *environment, const struct vault *vault, char *error,
                      size_t error_size)
{
    struct holdings holdings;
    if (read_holdings(environment, &holdings) != STORE_OK) {
        snprintf(error, error_size, "the store cannot be read: see the lines before");
        return false;
    }
    for (size_t i = 0; i < holdings.len; i++) {
        const struct holding *holding = &holdings.items[i];
        if (vault_find(vault, str_from(holding->name)) != NULL)
            continue;
        snprintf(error, error_size,
                 "ENCRYPTION_KEYS_FILE: it has no key \"%s\", with which %" PRId64
                 " integrations and %" PRId64 " earlier versions in the %s are sealed",
                 holding->name, holding->documents, holding->versions,
                 environment->replica ? "replica" : "store");
        return false;
    }
    return true;
}

void sealing_release(struct sealing *sealing)
{
    buffer_release(&sealing->sealed);
    buffer_release(&sealing->opened);
    buffer_release(&sealing->scratch);
}

enum store_status sealing_begin(struct sealing *sealing, struct documents_change *change)
{
    if (sealing->vault->len == 0)
        return STORE_OK;
    return environment_status(
        change->environment,
        environment_read_masks(change->environment, change->txn, sealing->store),
        "reading what tells the store");
}

static struct seal_place place_of(const struct sealing *sealing, struct str id,
                                  const struct store_record *record)
{
    struct seal_place place = {
        .sequence = record->sequence, .revision = record->revision, .id = id};
    memcpy(place.store, sealing->store, sizeof place.store);
    return place;
}

struct str sealing_seal(struct sealing *sealing, struct str id, const struct store_record *record,
                        struct str document)
{
    const struct seal_place place = place_of(sealing, id, record);
    if (vault_first(sealing->vault) == NULL)
        return document;
    buffer_reset(&sealing->sealed, SIZE_MAX);
    return seal_append(sealing->vault, &place, document, &sealing->sealed)
               ? buffer_str(&sealing->sealed)
               : (struct str){NULL, 0};
}

struct str sealing_open(struct sealing *sealing, struct str id, const struct store_record *record)
{
    const struct seal_place place = place_of(sealing, id, record);
    if (seal_key_name(record->document).len == 0)
        return record->document;
    buffer_reset(&sealing->opened, SIZE_MAX);
    return seal_open(sealing->vault, &place, record->document, &sealing->scratch,
                     &sealing->opened) == SEAL_OPENED
               ? buffer_str(&sealing->opened)
               : record->document;
}
