/* SPDX-License-Identifier: MIT
 *
 * The log of changes of an embedded store. Each change writes its entry in its own transaction, and
 * with it takes away a few that are not kept any longer, so that no transaction is long for it.
 *
 * An entry stays for as many days as the configuration says, but the log takes a quarter of the
 * store at most. The documents in it stay only in the newest entries of each integration, which
 * "history" names: one more than there are versions to be kept, the oldest without its document. */
#ifndef STORE_LMDB_HISTORY_H
#define STORE_LMDB_HISTORY_H

#include "store/lmdb/documents.h"

/* Writes an entry. `scratch` is temporary storage, which can be used again. */
enum store_status history_add(struct documents_change *change, const struct store_entry *entry,
                              struct buffer *scratch);

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
