/* SPDX-License-Identifier: MIT
 *
 * Where integrations are kept. A back-end is one const struct store_backend in one file; the floors
 * above know this interface only.
 *
 * A store holds documents by id, in the order of their creation. Every committed change takes the
 * next revision, 1 being the first; an acknowledged change survives kill -9 and power loss. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buffer.h"
#include "base/str.h"

enum store_status {
    STORE_OK,
    STORE_NOT_FOUND, /* there is no such id */
    STORE_EXISTS,    /* there is one already */
    STORE_FULL,      /* the size limit or the disk: nothing was changed, reads go on */
    STORE_AWAY,      /* not answering now: nothing was changed, try again later */
    STORE_BROKEN     /* a fault in the store itself; the back-end has logged it */
};

struct store_options {
    const char *directory; /* exists, and belongs to the service */
    uint64_t max_bytes;
};

/* A document under its id; what `id` says and what the document says are the caller's to keep
 * equal. */
struct store_item {
    struct str id;
    struct str document;
};

struct store_stats {
    uint64_t revision;
    uint64_t integrations;
    uint64_t used_bytes;
    uint64_t max_bytes;
    uint64_t readers; /* most sessions of all processes there were at once */
};

struct store;
struct store_session;

struct store_backend {
    const char *name;

    /* Opens the store, once a process and after its last fork, and creates it when missing. NULL
     * with a sentence in `error` that says what is wrong and what to do. */
    struct store *(*open)(const struct store_options *options, char *error, size_t error_size);
    /* Ends the store; its sessions are closed before. */
    void (*close)(struct store *store);

    /* What one thread needs to use the store; NULL when there is no memory or place for it. */
    struct store_session *(*session_open)(struct store *store);
    void (*session_close)(struct store_session *session);

    /* Appends the document of `id`: STORE_OK, STORE_NOT_FOUND. */
    enum store_status (*get)(struct store_session *session, struct str id, struct buffer *out);
    /* Appends all documents, separated by commas, in the order of creation: STORE_OK. */
    enum store_status (*list)(struct store_session *session, struct buffer *out);
    /* STORE_OK or STORE_EXISTS, or STORE_FULL. */
    enum store_status (*create)(struct store_session *session, const struct store_item *item);
    /* STORE_OK or STORE_NOT_FOUND, or STORE_FULL. The place in the order stays. */
    enum store_status (*replace)(struct store_session *session, const struct store_item *item);
    /* STORE_OK or STORE_NOT_FOUND, or STORE_FULL (a removal takes room too). */
    enum store_status (*remove)(struct store_session *session, struct str id);
    /* Creates `items`, in one change, in a store that never had one. STORE_OK whether or not. */
    enum store_status (*seed)(struct store_session *session, const struct store_item *items,
                              size_t items_len);
    /* Also the question whether the store answers at all. */
    enum store_status (*stats)(struct store_session *session, struct store_stats *stats);
};

/* The embedded store: LMDB, in memory shared by all processes of a host. */
extern const struct store_backend store_lmdb;

#endif
