/* SPDX-License-Identifier: MIT
 *
 * Sealing as both stores do it, in the transaction of a change: documents as they are written and,
 * to tell what a change makes of them, as they were (seal/seal.h). */
#ifndef STORE_SEALING_H
#define STORE_SEALING_H

#include "seal/seal.h"
#include "store/store.h"

/* What it takes; all buffers are for one document at a time. */
struct sealing {
    const struct vault *vault;
    uint8_t store[SEAL_STORE_LEN]; /* for seal_place: the store's random key */
    struct buffer sealed;
    struct buffer opened;
    struct buffer scratch;
};

void sealing_release(struct sealing *sealing);

/* Returns a document as it is to be stored in the place of *record; its data is NULL if memory is
 * lacking, or if it is no integration. */
struct str sealing_seal(struct sealing *sealing, struct str id, const struct store_record *record,
                        struct str document);

/* Returns the document of *record as it was before it was sealed, or as it is if it was not, or
 * cannot be opened. */
struct str sealing_open(struct sealing *sealing, struct str id, const struct store_record *record);

/* Returns the document of *record as it should be sealed now: the same one if it is so already, or
 * if it cannot be opened (then *unreadable is set); its data is NULL as for sealing_seal. */
struct str sealing_renew(struct sealing *sealing, struct str id, const struct store_record *record,
                         bool *unreadable);

#endif
