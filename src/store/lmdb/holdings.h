/* SPDX-License-Identifier: MIT
 *
 * How many sealed documents of a store need each key. "meta" says so, and every change keeps it
 * true, so that nobody has to look through the store. In a replica it is what the follower last
 * read in the database. */
#ifndef STORE_LMDB_HOLDINGS_H
#define STORE_LMDB_HOLDINGS_H

#include "store/lmdb/environment.h"

/* What a key holds; in a change, what is added to that. */
struct holding {
    char name[VAULT_NAME_MAX + 8]; /* a multiple of 8 bytes, zeros after the name */
    int64_t documents;
    int64_t versions; /* in the log of changes */
};

struct holdings {
    struct holding items[VAULT_KEYS_MAX];
    size_t len;
};

/* Adds to what the key of a document holds, if that is sealed. */
void holdings_add(struct holdings *holdings, struct str document, int64_t documents,
                  int64_t versions);

/* Stores what is sealed with each key in `list`, which has room for VAULT_KEYS_MAX: in the store
 * or, if the environment is a replica, in the database. With a reader's transaction. */
enum store_status holdings_list(struct environment *environment, MDB_txn *reader,
                                struct store_holding *list, size_t *len);

/* Notes what is sealed with each key in the database of a replica. Returns an LMDB error code. */
MUST_CHECK int holdings_note(const struct environment *environment, MDB_txn *txn,
                             const struct store_holding *list, size_t len);

/* Stores whether there are documents that are not sealed with this key or, if it is NULL, that are
 * sealed. With a reader's transaction. */
enum store_status holdings_differ(struct environment *environment, MDB_txn *reader,
                                  const struct vault_key *key, bool *differ);

/* Whether the vault has all keys that documents of the environment are sealed with. If not, or if
 * that cannot be found out, returns false with a message in `error`. */
MUST_CHECK bool holdings_are_covered(struct environment *environment, const struct vault *vault,
                                     char *error, size_t error_size);

/* What "meta" says of a set of documents. These return LMDB error codes. */
MUST_CHECK int holdings_read(const struct environment *environment, MDB_txn *txn,
                             const struct environment_set *set, struct holdings *holdings);
/* Adds to that. */
MUST_CHECK int holdings_write(const struct environment *environment, MDB_txn *txn,
                              const struct environment_set *set, const struct holdings *added);
/* Makes it nothing. */
MUST_CHECK int holdings_clear(const struct environment *environment, MDB_txn *txn,
                              const struct environment_set *set);

#endif
