/* SPDX-License-Identifier: MIT */
#include "store/lmdb/holdings.h"

#include <inttypes.h>
#include <stdio.h>

#include "seal/seal.h"

/* Where "meta" says what: of the documents of each set, and of the database. */
static const char *const names[] = {"sealed", "sealed2"};
static const char database_name[] = "sealed-database";

static const char *name_of(const struct environment *environment, const struct environment_set *set)
{
    return names[set == &environment->sets[1]];
}

/* Returns NULL if there are too many keys. */
static struct holding *find(struct holdings *holdings, struct str name)
{
    for (size_t i = 0; i < holdings->len; i++)
        if (str_equal(str_from(holdings->items[i].name), name))
            return &holdings->items[i];
    if (holdings->len == ARRAY_LEN(holdings->items) || name.len > VAULT_NAME_MAX)
        return NULL;
    struct holding *added = &holdings->items[holdings->len++];
    *added = (struct holding){{0}, 0, 0};
    memcpy(added->name, name.data, name.len);
    return added;
}

void holdings_add(struct holdings *holdings, struct str document, int64_t documents,
                  int64_t versions)
{
    struct str name = seal_key_name(document);
    struct holding *holding = name.len == 0 ? NULL : find(holdings, name);
    if (holding == NULL)
        return;
    holding->documents += documents;
    holding->versions += versions;
}

static int read_named(const struct environment *environment, MDB_txn *txn, const char *name,
                      struct holdings *holdings)
{
    MDB_val key = environment_value(name, strlen(name));
    MDB_val value;
    holdings->len = 0;
    int code = mdb_get(txn, environment->meta, &key, &value);
    if (code == MDB_NOTFOUND)
        return MDB_SUCCESS;
    if (code == MDB_SUCCESS &&
        (value.mv_size % sizeof holdings->items[0] != 0 || value.mv_size > sizeof holdings->items))
        return MDB_INVALID;
    if (code == MDB_SUCCESS) {
        memcpy(holdings->items, value.mv_data, value.mv_size);
        holdings->len = value.mv_size / sizeof holdings->items[0];
    }
    return code;
}

static int write_named(const struct environment *environment, MDB_txn *txn, const char *name,
                       const struct holdings *holdings)
{
    MDB_val key = environment_value(name, strlen(name));
    MDB_val value = environment_value(holdings->items, holdings->len * sizeof holdings->items[0]);
    return mdb_put(txn, environment->meta, &key, &value, 0);
}

int holdings_read(const struct environment *environment, MDB_txn *txn,
                  const struct environment_set *set, struct holdings *holdings)
{
    return read_named(environment, txn, name_of(environment, set), holdings);
}

int holdings_clear(const struct environment *environment, MDB_txn *txn,
                   const struct environment_set *set)
{
    struct holdings nothing = {.len = 0};
    return write_named(environment, txn, name_of(environment, set), &nothing);
}

/* Takes out the keys that hold nothing. */
static void drop_empty(struct holdings *holdings)
{
    size_t len = 0;
    for (size_t i = 0; i < holdings->len; i++)
        if (holdings->items[i].documents > 0 || holdings->items[i].versions > 0)
            holdings->items[len++] = holdings->items[i];
    holdings->len = len;
}

int holdings_note(const struct environment *environment, MDB_txn *txn,
                  const struct store_holding *list, size_t len)
{
    struct holdings holdings = {.len = len};
    for (size_t i = 0; i < len; i++) {
        holdings.items[i] =
            (struct holding){{0}, (int64_t)list[i].documents, (int64_t)list[i].versions};
        memcpy(holdings.items[i].name, list[i].key, sizeof list[i].key);
    }
    return write_named(environment, txn, database_name, &holdings);
}

int holdings_write(const struct environment *environment, MDB_txn *txn,
                   const struct environment_set *set, const struct holdings *added)
{
    struct holdings holdings;
    bool changed = false;
    for (size_t i = 0; i < added->len; i++)
        changed |= added->items[i].documents != 0 || added->items[i].versions != 0;
    int code = changed ? holdings_read(environment, txn, set, &holdings) : MDB_SUCCESS;
    if (!changed || code != MDB_SUCCESS)
        return code;
    for (size_t i = 0; i < added->len; i++) {
        struct holding *holding = find(&holdings, str_from(added->items[i].name));
        if (holding == NULL)
            continue;
        holding->documents += added->items[i].documents;
        holding->versions += added->items[i].versions;
    }
    drop_empty(&holdings);
    return write_named(environment, txn, name_of(environment, set), &holdings);
}

enum store_status holdings_list(struct environment *environment, MDB_txn *reader,
                                struct store_holding *list, size_t *len)
{
    struct holdings holdings = {.len = 0};
    int code = environment_begin_read(environment, reader);
    if (code == MDB_SUCCESS) {
        code = read_named(environment, reader, environment->replica ? database_name : names[0],
                          &holdings);
        environment_end_read(environment, reader);
    }
    *len = holdings.len;
    for (size_t i = 0; i < holdings.len; i++) {
        const struct holding *holding = &holdings.items[i];
        list[i] = (struct store_holding){{0},
                                         holding->documents > 0 ? (uint64_t)holding->documents : 0,
                                         holding->versions > 0 ? (uint64_t)holding->versions : 0};
        memcpy(list[i].key, holding->name, VAULT_NAME_MAX);
    }
    return environment_status(environment, code, "reading what keys hold");
}

/* Counts the documents that are sealed with the key, or are not sealed. */
static int count_as(const struct environment *environment, MDB_txn *txn,
                    const struct environment_set *set, const struct vault_key *key,
                    uint64_t documents, uint64_t *count)
{
    struct holdings holdings;
    int code = holdings_read(environment, txn, set, &holdings);
    *count = key == NULL ? documents : 0;
    for (size_t i = 0; code == MDB_SUCCESS && i < holdings.len; i++) {
        const struct holding *holding = &holdings.items[i];
        if (key == NULL)
            *count -= (uint64_t)holding->documents;
        else if (strcmp(holding->name, key->name) == 0)
            *count = (uint64_t)holding->documents;
    }
    return code;
}

enum store_status holdings_differ(struct environment *environment, MDB_txn *reader,
                                  const struct vault_key *key, bool *differ)
{
    struct environment_meta meta = {0};
    MDB_stat stat = {0};
    uint64_t count = 0;
    int code = environment_begin_read(environment, reader);
    if (code != MDB_SUCCESS)
        return environment_status(environment, code, "reading what keys hold");
    code = environment_read_meta(environment, reader, &meta);
    const struct environment_set *set = environment_content(environment, &meta);
    if (code == MDB_SUCCESS)
        code = mdb_stat(reader, set->documents, &stat);
    if (code == MDB_SUCCESS)
        code = count_as(environment, reader, set, key, stat.ms_entries, &count);
    environment_end_read(environment, reader);
    *differ = count != stat.ms_entries;
    return environment_status(environment, code, "reading what keys hold");
}

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

bool holdings_are_covered(struct environment *environment, const struct vault *vault, char *error,
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
