/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>

#include "stores.h"

struct row {
    struct row *next;
    struct buffer id;
    struct buffer document;
    uint64_t sequence;
    uint64_t revision;
};

struct store {
    struct row *rows; /* oldest first */
    uint64_t revision;
    uint64_t sequence;
};

struct store_session {
    struct store *store;
};

static struct row **find(struct store *store, struct str id)
{
    struct row **at = &store->rows;
    while (*at != NULL && !str_equal(buffer_str(&(*at)->id), id))
        at = &(*at)->next;
    return at;
}

static struct store *memory_open(const struct store_options *options, char *error,
                                 size_t error_size)
{
    (void)options;
    snprintf(error, error_size, "no memory");
    return calloc(1, sizeof(struct store));
}

/* The time of every change. */
enum { MOMENT_US = 1 };

static struct store_version version_of(uint64_t revision)
{
    return (struct store_version){revision, MOMENT_US};
}

static void free_row(struct row *row)
{
    buffer_release(&row->id);
    buffer_release(&row->document);
    free(row);
}

static struct row *copy_rows(const struct row *rows)
{
    struct row *first = NULL;
    struct row **end = &first;
    for (; rows != NULL; rows = rows->next) {
        *end = calloc(1, sizeof **end);
        buffer_append_str(&(*end)->id, buffer_str(&rows->id));
        buffer_append_str(&(*end)->document, buffer_str(&rows->document));
        (*end)->sequence = rows->sequence;
        (*end)->revision = rows->revision;
        end = &(*end)->next;
    }
    return first;
}

static void free_rows(struct row *rows)
{
    while (rows != NULL) {
        struct row *row = rows;
        rows = row->next;
        free_row(row);
    }
}

static void memory_close(struct store *store)
{
    free_rows(store->rows);
    free(store);
}

static struct store_session *memory_session_open(struct store *store)
{
    struct store_session *session = calloc(1, sizeof *session);
    if (session != NULL)
        session->store = store;
    return session;
}

static void memory_session_close(struct store_session *session)
{
    free(session);
}

static enum store_status memory_get(struct store_session *session, struct store_read *read,
                                    struct str id, struct store_record *record, struct buffer *out)
{
    struct row *row = *find(session->store, id);
    if (row == NULL)
        return STORE_NOT_FOUND;
    *record = (struct store_record){
        .sequence = row->sequence, .revision = row->revision, .updated_us = MOMENT_US};
    if (!store_version_equal(store_record_version(record), read->known))
        buffer_append_str(out, buffer_str(&row->document));
    return STORE_OK;
}

static bool is_wanted(const struct store_read *read, const struct row *row)
{
    bool wanted = read->ids_len == 0;
    for (size_t i = 0; i < read->ids_len; i++)
        wanted |= str_equal(read->ids[i], buffer_str(&row->id));
    return wanted && row->sequence > read->after;
}

static enum store_status memory_each(struct store_session *session, struct store_read *read,
                                     store_visit *visit, void *context)
{
    read->version = version_of(session->store->revision);
    bool more = !store_version_equal(read->version, read->known);
    for (struct row *row = session->store->rows; more && row != NULL; row = row->next)
        if (is_wanted(read, row))
            more = visit(context, &(struct store_record){.sequence = row->sequence,
                                                         .revision = row->revision,
                                                         .updated_us = MOMENT_US,
                                                         .document = buffer_str(&row->document)});
    return STORE_OK;
}

static enum store_status put(struct store *store, struct row **at,
                             const struct store_change *change)
{
    if (*at == NULL) {
        *at = calloc(1, sizeof **at);
        if (*at == NULL)
            return STORE_FULL;
        buffer_append_str(&(*at)->id, change->id);
        (*at)->sequence = ++store->sequence;
    }
    buffer_reset(&(*at)->document, 0);
    buffer_append_str(&(*at)->document, change->document);
    (*at)->revision = store->revision;
    return STORE_OK;
}

static enum store_status make(struct store *store, const struct store_change *change,
                              struct store_batch *batch)
{
    struct row **at = find(store, change->id);
    struct row *row = *at;
    batch->found = version_of(row == NULL ? 0 : row->revision);
    if (row != NULL && change->operation == STORE_CREATE)
        return STORE_EXISTS;
    if (row != NULL && change->if_version.revision != 0 &&
        !store_version_equal(change->if_version, batch->found))
        return STORE_CHANGED;
    if (row == NULL && (change->operation == STORE_REPLACE || change->operation == STORE_REMOVE))
        return STORE_NOT_FOUND;
    batch->revision = ++store->revision;
    if (change->operation != STORE_REMOVE) {
        batch->created += row == NULL;
        return put(store, at, change);
    }
    *at = row->next;
    free_row(row);
    return STORE_OK;
}

static enum store_status memory_change(struct store_session *session, struct store_batch *batch)
{
    struct store *store = session->store;
    struct store before = {copy_rows(store->rows), store->revision, store->sequence};
    enum store_status status = STORE_OK;
    batch->created = 0;
    batch->made_us = MOMENT_US;
    if (batch->if_store != NULL && batch->if_store->revision != before.revision) {
        batch->failed = batch->len;
        batch->found = version_of(before.revision);
        status = STORE_CHANGED;
    }
    for (size_t i = 0; i < batch->len && status == STORE_OK; i++) {
        batch->failed = i;
        status = make(store, &batch->changes[i], batch);
    }
    free_rows(status == STORE_OK ? before.rows : store->rows);
    if (status != STORE_OK)
        *store = before;
    return status;
}

static enum store_status memory_ready(struct store_session *session, uint64_t deadline_ns)
{
    (void)session;
    (void)deadline_ns;
    return STORE_OK;
}

static enum store_status memory_stats(struct store_session *session, struct store_stats *stats)
{
    *stats = (struct store_stats){.revision = session->store->revision};
    for (struct row *row = session->store->rows; row != NULL; row = row->next)
        stats->integrations++;
    return STORE_OK;
}

static struct event *memory_commits(struct store *store)
{
    static struct event commits;
    (void)store;
    return &commits;
}

static enum store_status memory_mask_key(struct store_session *session, uint64_t deadline_ns,
                                         uint8_t key[STORE_MASK_KEY_LEN])
{
    (void)session;
    (void)deadline_ns;
    memset(key, 1, STORE_MASK_KEY_LEN);
    return STORE_OK;
}

static enum store_status memory_holdings(struct store_session *session,
                                         const struct store_read *read, struct store_holding *list,
                                         size_t *len)
{
    (void)session;
    (void)read;
    (void)list;
    *len = 0;
    return STORE_OK;
}

const struct store_backend store_memory = {
    .name = "memory",
    .open = memory_open,
    .close = memory_close,
    .session_open = memory_session_open,
    .session_close = memory_session_close,
    .get = memory_get,
    .each = memory_each,
    .change = memory_change,
    .ready = memory_ready,
    .stats = memory_stats,
    .mask_key = memory_mask_key,
    .holdings = memory_holdings,
    .commits = memory_commits,
};
