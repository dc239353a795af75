/* SPDX-License-Identifier: MIT
 *
 * The log of changes of an embedded store. Each change writes its entry in its own transaction, and
 * with it takes away a few that are not kept any longer, so that no transaction is long for it.
 *
 * An entry stays for as many days as the configuration says, but the log takes a quarter of the
 * store at most, and gives way when the store becomes full. The documents in it stay only in the
 * newest entries of each integration, which "history" names: one more than there are versions to be
 * kept, the oldest without its document. */
#ifndef STORE_LMDB_HISTORY_H
#define STORE_LMDB_HISTORY_H

#include "store/lmdb/documents.h"

/* How much room the store has for the log. */
enum history_room {
    HISTORY_AMPLE,
    HISTORY_SCARCE, /* and for a change that needs so much: no documents are added to it, and its
                       oldest entries give way */
    HISTORY_NONE    /* nor is there room to work on what is there */
};
enum history_room history_room(struct documents_reader *reader, uint64_t needed_bytes);

/* Whether the store has been nearly as large as it may become. */
bool history_has_little_room(const struct documents_reader *reader);

/* Writes an entry, with a document if there is room. `scratch` is temporary storage, which can be
 * used again. */
enum store_status history_add(struct documents_change *change, const struct store_entry *entry,
                              enum history_room room, struct buffer *scratch);

/* Finds the first entry after a revision: STORE_OK, STORE_NOT_FOUND; STORE_DAMAGED: only its
 * revision is set. */
enum store_status history_next(struct documents_change *change, uint64_t after,
                               struct store_entry *entry);
/* Writes an entry again; `before`: the document that it has there. `scratch` as in history_add. */
enum store_status history_rewrite(struct documents_change *change, const struct store_entry *entry,
                                  struct str before, struct buffer *scratch);

/* Let go of the oldest entries in a store that is full, and of all; as far as there are any, and as
 * that is possible. */
void history_make_room(struct environment *environment, uint64_t deadline_ns);
void history_drop(struct environment *environment, uint64_t deadline_ns);

/* Finds the place in the order that a document had which was removed, and when it had been created.
 * STORE_NOT_FOUND: that is not known any more, or another one has the place. */
enum store_status history_find_place(struct documents_change *change, struct str id,
                                     struct store_record *record);

/* As in struct store_backend, for one reader. */
enum store_status history_of(struct documents_reader *reader, struct str id, uint64_t from,
                             store_visit_entry *visit, void *context);
enum store_status history_log(struct documents_reader *reader, struct store_read *read,
                              store_visit_entry *visit, void *context);

#endif
