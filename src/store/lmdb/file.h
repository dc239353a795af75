/* SPDX-License-Identifier: MIT
 *
 * The files of an environment as others may find or leave them: shortened, emptied, removed,
 * replaced, or of another owner's making. Messages are for users. */
#ifndef STORE_LMDB_FILE_H
#define STORE_LMDB_FILE_H

#include "store/lmdb/environment.h"

extern const char file_shortened[];
extern const char file_gone[];

/* Remembers which lock.mdb was opened just now. Returns false with an errno if there is none. */
MUST_CHECK bool file_know_lock(struct environment *environment);

/* What is wrong with the open files (they are not those in the directory, or file_shortened), or
 * NULL. */
const char *file_look(const struct environment *environment);

/* Whether data.mdb holds another state than the one that lock.mdb, and with it every process that
 * has the environment open, knows: other content was written over the file. A transaction would
 * then begin with whichever of the file's two last states its number selects, and a change undo
 * the last one. If so, that is logged, and who opens the environment next removes lock.mdb. `txn`
 * has begun, to write if `writes`. */
MUST_CHECK bool file_was_overwritten(const struct environment *environment, MDB_txn *txn,
                                     bool writes);

/* For mapping_watch. */
void file_say_lost(void);

/* Whether there was a store in this place, of which nothing is left. */
bool file_is_gone(const struct environment *environment);
/* Notes that there is a store; what keeps it from that is logged. */
void file_mark_made(const struct environment *environment);

/* Whether a file of the environment ("/data.mdb") is a link, which would lead LMDB out of the
 * directory. */
bool file_is_link(const struct environment *environment, const char *name);

/* Removes a lock.mdb that is about another data.mdb, which was there before: its transaction
 * numbers would hide what is new. Whoever has that one open can still read it, but not change it.
 */
void file_renew_lock(const struct environment *environment);
/* Notes which data.mdb lock.mdb is about. */
void file_note(struct environment *environment);

/* Removes a replica that cannot be opened: everything is in the database. Whoever else has it open
 * sees that its file was removed. */
void file_discard(const struct environment *environment, const char *wrong);
/* Removes the open replica, whose content is wrong, unless another is in its place already. */
void file_forget(const struct environment *environment);

#endif
