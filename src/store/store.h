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

/* A document as it is kept. The text is the store's, and lives until the visitor returns. */
struct store_record {
    uint64_t sequence; /* its place in the order of creation */
    uint64_t revision; /* of its last change */
    uint64_t created_us;
    uint64_t updated_us;
    struct str document;
};

/* Sees one document after the other. False: it has seen enough. */
typedef bool store_visit(void *context, const struct store_record *record);

enum store_operation {
    STORE_CREATE,  /* STORE_EXISTS if there is the id */
    STORE_REPLACE, /* STORE_NOT_FOUND if there is not; the place in the order stays */
    STORE_PUT,     /* the one or the other */
    STORE_REMOVE   /* STORE_NOT_FOUND if there is not */
};

/* What `id` says and what the document says are the caller's to keep equal. */
struct store_change {
    enum store_operation operation;
    struct str id;
    struct str document; /* none to STORE_REMOVE */
};

/* Changes that are made together or not at all, in their order; each takes a revision. */
struct store_batch {
    const struct store_change *changes;
    size_t len;
    bool first; /* to be made only in a store that never held anything; STORE_OK whether or not */

    /* Set when they are made: */
    uint64_t revision; /* of the last one */
    size_t created;    /* how many of STORE_CREATE and STORE_PUT found no such id */
    /* Set when one of them cannot be made: */
    size_t failed; /* which */
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
    /* Shows all documents as they are at one moment, in the order of creation: STORE_OK. */
    enum store_status (*each)(struct store_session *session, store_visit *visit, void *context);
    /* Makes the changes: STORE_OK; or none of them: what the first that cannot be made says, or
     * STORE_FULL (a removal takes room too). */
    enum store_status (*change)(struct store_session *session, struct store_batch *batch);
    /* Also the question whether the store answers at all. */
    enum store_status (*stats)(struct store_session *session, struct store_stats *stats);
};

/* The embedded store: LMDB, in memory shared by all processes of a host. */
extern const struct store_backend store_lmdb;

#endif
