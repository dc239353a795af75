/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>

#include "stores.h"

struct row {
    struct row *next;
    struct buffer id;
    struct buffer document;
};

struct store {
    struct row *rows; /* the oldest first */
    uint64_t revision;
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

static void free_row(struct row *row)
{
    buffer_release(&row->id);
    buffer_release(&row->document);
    free(row);
}

static void memory_close(struct store *store)
{
    while (store->rows != NULL) {
        struct row *row = store->rows;
        store->rows = row->next;
        free_row(row);
    }
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

static enum store_status memory_get(struct store_session *session, struct str id,
                                    struct buffer *out)
{
    struct row *row = *find(session->store, id);
    if (row == NULL)
        return STORE_NOT_FOUND;
    buffer_append_str(out, buffer_str(&row->document));
    return STORE_OK;
}

static enum store_status memory_list(struct store_session *session, struct buffer *out)
{
    for (struct row *row = session->store->rows; row != NULL; row = row->next) {
        if (row != session->store->rows)
            buffer_append_char(out, ',');
        buffer_append_str(out, buffer_str(&row->document));
    }
    return STORE_OK;
}

static enum store_status memory_create(struct store_session *session, const struct store_item *item)
{
    struct row **at = find(session->store, item->id);
    if (*at != NULL)
        return STORE_EXISTS;
    *at = calloc(1, sizeof **at);
    if (*at == NULL)
        return STORE_FULL;
    buffer_append_str(&(*at)->id, item->id);
    buffer_append_str(&(*at)->document, item->document);
    session->store->revision++;
    return STORE_OK;
}

static enum store_status memory_replace(struct store_session *session,
                                        const struct store_item *item)
{
    struct row *row = *find(session->store, item->id);
    if (row == NULL)
        return STORE_NOT_FOUND;
    buffer_reset(&row->document, 0);
    buffer_append_str(&row->document, item->document);
    session->store->revision++;
    return STORE_OK;
}

static enum store_status memory_remove(struct store_session *session, struct str id)
{
    struct row **at = find(session->store, id);
    struct row *row = *at;
    if (row == NULL)
        return STORE_NOT_FOUND;
    *at = row->next;
    free_row(row);
    session->store->revision++;
    return STORE_OK;
}

static enum store_status memory_seed(struct store_session *session, const struct store_item *items,
                                     size_t items_len)
{
    uint64_t revision = session->store->revision;
    for (size_t i = 0; revision == 0 && i < items_len; i++)
        if (memory_create(session, &items[i]) != STORE_OK)
            return STORE_FULL;
    session->store->revision = revision + (revision == 0);
    return STORE_OK;
}

static enum store_status memory_stats(struct store_session *session, struct store_stats *stats)
{
    *stats = (struct store_stats){.revision = session->store->revision};
    for (struct row *row = session->store->rows; row != NULL; row = row->next)
        stats->integrations++;
    return STORE_OK;
}

const struct store_backend store_memory = {
    .name = "memory",
    .open = memory_open,
    .close = memory_close,
    .session_open = memory_session_open,
    .session_close = memory_session_close,
    .get = memory_get,
    .list = memory_list,
    .create = memory_create,
    .replace = memory_replace,
    .remove = memory_remove,
    .seed = memory_seed,
    .stats = memory_stats,
};
