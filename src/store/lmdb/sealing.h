/* SPDX-License-Identifier: MIT
 *
 * Sealed documents of an embedded store (seal/seal.h), as a change reads and writes them. */
#ifndef STORE_LMDB_SEALING_H
#define STORE_LMDB_SEALING_H

#include "seal/seal.h"
#include "store/lmdb/documents.h"

/* What a session needs to seal documents; all buffers are for one change at a time. */
struct sealing {
    const struct vault *vault;
    uint8_t store[SEAL_STORE_LEN]; /* for seal_place; read when a change begins */
    struct buffer sealed;
    struct buffer opened;
    struct buffer scratch;
};

void sealing_release(struct sealing *sealing);

/* Whether the vault has all keys that documents of the environment are sealed with. If not, or if
 * that cannot be found out, returns false with a message in `error`. */
MUST_CHECK bool sealing_has_keys(struct environment *environment, const struct vault *vault,
                                 char *error, size_t error_size);

/* Call it first in each change. */
enum store_status sealing_begin(struct sealing *sealing, struct documents_change *change);

/* Returns a document as it is to be stored in the place of *record; its data is NULL if memory is
 * lacking. */
struct str sealing_seal(struct sealing *sealing, struct str id, const struct store_record *record,
                        struct str document);

/* Returns the document of *record as it was before it was sealed, or as it is if it was not, or
 * cannot be opened. */
struct str sealing_open(struct sealing *sealing, struct str id, const struct store_record *record);

#endif
