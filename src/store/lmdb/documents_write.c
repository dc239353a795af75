/* SPDX-License-Identifier: MIT
 *
 * Changes of documents, in LMDB's only write transaction. */
#include <errno.h>

#include "base/clock.h"
#include "store/lmdb/documents.h"
#include "store/lmdb/file.h"
#include "store/lmdb/readers.h"
#include "store/lmdb/sums.h"

static int read_state(struct documents_change *change)
{
    int code = environment_read_meta(change->environment, change->txn, &change->meta);
    if (code != MDB_SUCCESS)
        return code;
    code =
        environment_read_version(change->environment, change->txn, &change->meta, &change->before);
    if (code == MDB_SUCCESS && !change->environment->replica &&
        change->before.tag == ENVIRONMENT_TAG_UNKNOWN)
        code = sums_rebuild(change->environment, change->txn);
    if (code != MDB_NOTFOUND)
        return code;
    change->before.tag = 0;
    return MDB_SUCCESS;
}

/* Begins a change by whoever has the turn. */
static enum store_status begin_in_turn(struct environment *environment,
                                       struct documents_change *change)
{
    readers_check(environment);
    if (!environment_is_whole(environment, true))
        return STORE_BROKEN;
    int code = environment_begin_write(environment, &change->txn);
    if (code != MDB_SUCCESS)
        return environment_status(environment, code, "beginning a change");
    if (file_was_overwritten(environment, change->txn, true)) {
        environment_abort(environment, change->txn);
        return STORE_BROKEN;
    }
    code = read_state(change);
    change->set = environment_content(environment, &change->meta);
    if (code == MDB_SUCCESS)
        return STORE_OK;
    environment_abort(environment, change->txn);
    return environment_status(environment, code, "beginning a change");
}

enum store_status documents_begin(struct environment *environment, uint64_t deadline_ns,
                                  struct documents_change *change)
{
    change->environment = environment;
    change->deadline_ns = deadline_ns;
    change->added.len = 0;
    int code = turn_take(&environment->turn, deadline_ns);
    if (code == ETIMEDOUT)
        return STORE_AWAY;
    if (code != MDB_SUCCESS)
        return environment_status(environment, code, "taking the writer's turn");
    enum store_status status = begin_in_turn(environment, change);
    if (status != STORE_OK)
        turn_give(&environment->turn);
    return status;
}

enum store_status documents_begin_sealing(struct documents_change *change, struct sealing *sealing)
{
    if (sealing->vault->len == 0)
        return STORE_OK;
    return environment_status(
        change->environment,
        environment_read_masks(change->environment, change->txn, sealing->store),
        "reading what tells the store");
}

void documents_cancel(struct documents_change *change)
{
    environment_abort(change->environment, change->txn);
    turn_give(&change->environment->turn);
}

enum store_status documents_end(struct documents_change *change, enum store_status status)
{
    struct environment *environment = change->environment;
    if (status == STORE_OK && clock_steady_ns() >= change->deadline_ns)
        status = STORE_AWAY; /* this process was stopped meanwhile, or the disk is slow */
    if (status == STORE_OK)
        status = environment_status(
            environment, holdings_write(environment, change->txn, change->set, &change->added),
            "writing what keys hold");
    if (status == STORE_OK)
        status = environment_status(environment,
                                    environment_write_meta(environment, change->txn, &change->meta),
                                    "writing the revision");
    if (status != STORE_OK) {
        documents_cancel(change);
        return status;
    }
    int code = environment_commit(environment, change->txn);
    environment_fill(environment);
    turn_give(&environment->turn);
    event_signal(&environment->turn.page->commits, EVENT_ANY);
    return environment_status(environment, code, "committing");
}

enum store_status documents_find(struct documents_change *change, struct str id,
                                 struct store_record *record)
{
    return documents_status(
        change->environment,
        documents_look(change->environment, change->txn, change->set, id, record),
        "looking for an id");
}

/* The document in what is stored under a sequence number. */
static struct str document_in(MDB_val value)
{
    size_t head = sizeof(struct documents_head);
    return value.mv_size < head
               ? (struct str){NULL, 0}
               : (struct str){(const char *)value.mv_data + head, value.mv_size - head};
}

/* Notes that the document of a sequence number goes, if there is one. */
static int count_out(struct documents_change *change, uint64_t sequence)
{
    MDB_val key = environment_value(&sequence, sizeof sequence);
    MDB_val value;
    int code = mdb_get(change->txn, change->set->documents, &key, &value);
    if (code == MDB_SUCCESS)
        holdings_add(&change->added, document_in(value), -1, 0);
    return code == MDB_NOTFOUND ? MDB_SUCCESS : code;
}

static int put_document(struct documents_change *change, const struct store_record *record)
{
    struct documents_head head = {record->revision, record->created_us, record->updated_us};
    MDB_val key = environment_value(&record->sequence, sizeof record->sequence);
    MDB_val value = {.mv_size = sizeof head + record->document.len};
    int code = count_out(change, record->sequence);
    if (code == MDB_SUCCESS)
        code = mdb_put(change->txn, change->set->documents, &key, &value, MDB_RESERVE);
    if (code == MDB_SUCCESS) {
        holdings_add(&change->added, record->document, 1, 0);
        memcpy(value.mv_data, &head, sizeof head);
        memcpy((char *)value.mv_data + sizeof head, record->document.data, record->document.len);
        code = sums_put(change->txn, change->set->sums, record->sequence, value);
    }
    return code;
}

enum store_status documents_put(struct documents_change *change, struct str id,
                                const struct store_record *record)
{
    MDB_val key = documents_key(id);
    MDB_val sequence = environment_value(&record->sequence, sizeof record->sequence);
    int code = mdb_put(change->txn, change->set->ids, &key, &sequence, MDB_NOOVERWRITE);
    if (code == MDB_SUCCESS || code == MDB_KEYEXIST)
        code = put_document(change, record);
    return environment_status(change->environment, code, "writing");
}

enum store_status documents_remove(struct documents_change *change, struct str id,
                                   uint64_t sequence)
{
    MDB_val key = documents_key(id);
    MDB_val place = environment_value(&sequence, sizeof sequence);
    int code = count_out(change, sequence);
    if (code == MDB_SUCCESS)
        code = mdb_del(change->txn, change->set->ids, &key, NULL);
    if (code == MDB_SUCCESS)
        code = mdb_del(change->txn, change->set->documents, &place, NULL);
    if (code == MDB_SUCCESS)
        code = sums_remove(change->txn, change->set->sums, sequence);
    return environment_status(change->environment, code, "removing");
}

enum store_status documents_next(struct documents_change *change, uint64_t after,
                                 struct store_record *record)
{
    MDB_val key;
    MDB_val value;
    int code = environment_next(change->txn, change->set->documents, after, &key, &value);
    if (code == MDB_SUCCESS) {
        memcpy(&record->sequence, key.mv_data, sizeof record->sequence);
        code = documents_read(change->environment, change->txn, change->set, key, value, record);
    }
    return documents_status(change->environment, code, "looking for the next");
}

enum store_status documents_rewrite(struct documents_change *change,
                                    const struct store_record *record)
{
    return environment_status(change->environment, put_document(change, record), "writing");
}

void documents_turn_over(struct documents_change *change)
{
    struct environment *environment = change->environment;
    change->set = &environment->sets[change->set == &environment->sets[0]];
}

enum store_status documents_clear(struct documents_change *change)
{
    int code = mdb_drop(change->txn, change->set->ids, 0);
    if (code == MDB_SUCCESS)
        code = mdb_drop(change->txn, change->set->documents, 0);
    if (code == MDB_SUCCESS)
        code = mdb_drop(change->txn, change->set->sums, 0);
    if (code == MDB_SUCCESS)
        code = holdings_clear(change->environment, change->txn, change->set);
    return environment_status(change->environment, code, "clearing the replica");
}

enum store_status documents_set_version(struct documents_change *change,
                                        const struct store_version *version)
{
    change->meta.revision = version->revision;
    if (change->environment->replica)
        change->meta.sequence = change->set == &change->environment->sets[1];
    return environment_status(change->environment,
                              environment_write_version(change->environment, change->txn, version),
                              "writing the version of the store");
}

enum store_status documents_set_masks(struct documents_change *change,
                                      const uint8_t key[STORE_MASK_KEY_LEN])
{
    return environment_status(change->environment,
                              environment_write_masks(change->environment, change->txn, key),
                              "writing the key of masks");
}
