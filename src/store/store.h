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
#include "base/event.h"
#include "base/str.h"

enum store_status {
    STORE_OK,
    STORE_NOT_FOUND, /* there is no such id */
    STORE_EXISTS,    /* there is one already */
    STORE_CHANGED,   /* its revision is another than was asked for */
    STORE_FULL,      /* the size limit or the disk: nothing was changed, reads go on */
    STORE_AWAY,      /* not answering now: nothing was changed, try again later */
    STORE_BROKEN     /* a fault in the store itself; the back-end has logged it */
};

/* Of a back-end with a database. */
struct store_database {
    const char *url;         /* secret */
    size_t connections;      /* of all processes of the directory at once */
    size_t connections_kept; /* of these, how many stay open when there is nothing to do */
    size_t processes;        /* that share them */
    bool prepare;            /* statements are prepared, and changes listened for */
    uint64_t timeout_ms;     /* to connect, and for what has no deadline of its own */
};

struct store_options {
    const char *directory; /* exists, and belongs to the service */
    uint64_t max_bytes;
    struct store_database database;
    bool alone; /* no follower works beside: ask the database rather than trust what it last said */
};

enum {
    STORE_IDS_MAX = 100 /* that one read may name */
};

/* What is read, and how. */
struct store_read {
    bool fresh;           /* from the database itself, not from a replica of it */
    uint64_t deadline_ns; /* of the steady clock, for that */
    uint64_t known;       /* a revision that the caller has: of the document to get, of the store to
                             each. If it is still that one, no text is appended, and nothing shown */
    /* To each: */
    uint64_t after;        /* a sequence number: only what comes behind it */
    const struct str *ids; /* only these, if there are any */
    size_t ids_len;
    uint64_t wanted; /* the visitor will not ask for more than so many; 0: for all */

    /* Set when it was read: */
    uint64_t revision; /* the store's; of get, only by a back-end that replicates */
    uint64_t age_ms;   /* by a back-end that replicates: how long ago it was known that nothing
                          newer exists */
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
    struct str document;  /* none to STORE_REMOVE */
    uint64_t if_revision; /* STORE_CHANGED if the document there has another; 0: whatever it has */
};

/* Who makes changes. */
struct store_author {
    struct str actor;      /* a name; empty: nobody in particular */
    struct str request_id; /* of the request that asks for them; empty: none does */
};

/* Changes that are made together or not at all, in their order; each takes a revision. */
struct store_batch {
    const struct store_change *changes;
    size_t len;
    struct store_author author;
    bool first; /* to be made only in a store that never held anything; STORE_OK whether or not */
    uint64_t deadline_ns;        /* of the steady clock, for a back-end with a database */
    void (*step)(void *context); /* called after each change; NULL: nobody wants to know */
    void *step_context;

    /* Set when they are made: */
    uint64_t revision; /* of the last one */
    uint64_t made_us;  /* when; 0: that is not known */
    size_t created;    /* how many of STORE_CREATE and STORE_PUT found no such id */
    /* Set when one of them cannot be made: */
    size_t failed;  /* which */
    uint64_t found; /* with STORE_EXISTS and STORE_CHANGED: the revision of the document there */
};

struct store_stats {
    uint64_t revision;
    uint64_t integrations;
    uint64_t used_bytes;
    uint64_t max_bytes;
    uint64_t readers; /* most sessions of all processes there were at once */

    /* Of a back-end that replicates: */
    bool database_up;
    uint64_t age_ms; /* of the replica; UINT64_MAX: there is none yet */
    uint64_t connections_idle;
    uint64_t connections_busy;
    uint64_t connections_max;
    uint64_t connects; /* from here on: since the directory is new */
    uint64_t commits;
    uint64_t failures;
    uint64_t copies; /* of the whole database */
};

/* What a follower is given. */
struct store_follow {
    struct store_batch defaults;  /* for a database that never held anything; it may be empty */
    int stop_fd;                  /* to be read: the follower shall end */
    void (*ready)(void *context); /* called once: reads can be answered, as well as they can now */
    void *context;
};

struct store;
struct store_session;

struct store_backend {
    const char *name;
    bool replicates; /* reads come from a replica, unless asked for fresh */

    /* Keeps the replica of this host equal to the database, in a process of its own, until told to
     * stop: true. False with a sentence in `error`: it cannot, and was not ready before. NULL in a
     * back-end without a replica. */
    bool (*follow)(const struct store_options *options, const struct store_follow *follow,
                   char *error, size_t error_size);

    /* Opens the store, once a process and after its last fork, and creates it when missing. NULL
     * with a sentence in `error` that says what is wrong and what to do. */
    struct store *(*open)(const struct store_options *options, char *error, size_t error_size);
    /* Ends the store; its sessions are closed before. */
    void (*close)(struct store *store);
    /* The process is about to end: gives up what others may need. NULL: it holds nothing such. */
    void (*retire)(struct store *store);

    /* What one thread needs to use the store; NULL when there is no memory or place for it. */
    struct store_session *(*session_open)(struct store *store);
    void (*session_close)(struct store_session *session);

    /* Appends the document of `id`; *record gets the rest of it: STORE_OK, STORE_NOT_FOUND. */
    enum store_status (*get)(struct store_session *session, struct store_read *read, struct str id,
                             struct store_record *record, struct buffer *out);
    /* Shows the documents as they are at one moment, in the order of creation: STORE_OK. */
    enum store_status (*each)(struct store_session *session, struct store_read *read,
                              store_visit *visit, void *context);
    /* Makes the changes: STORE_OK; or none of them: what the first that cannot be made says, or
     * STORE_FULL (a removal takes room too). */
    enum store_status (*change)(struct store_session *session, struct store_batch *batch);
    /* Whether changes can be made now: STORE_OK or STORE_AWAY. */
    enum store_status (*ready)(struct store_session *session, uint64_t deadline_ns);
    enum store_status (*stats)(struct store_session *session, struct store_stats *stats);

    /* The event that something was committed, by any process of this host, in memory that lives as
     * long as the store. */
    struct event *(*commits)(struct store *store);
};

/* The embedded store: LMDB, in memory shared by all processes of a host. */
extern const struct store_backend store_lmdb;

/* PostgreSQL, with a replica in LMDB on each host, which reads come from. */
extern const struct store_backend store_pg;

/* Whether `url` can be one of store_pg's. False with a sentence in `error`, which repeats nothing
 * of it; else `ignored` gets the names of the parameters that mean nothing to PostgreSQL. */
MUST_CHECK bool store_pg_check(const char *url, struct buffer *ignored, char *error,
                               size_t error_size);

enum store_migration { STORE_MIGRATED, STORE_UP_TO_DATE, STORE_NOT_MIGRATED };

/* Brings the database's schema up to date. STORE_NOT_MIGRATED with a sentence in `error`. */
enum store_migration store_pg_migrate(const struct store_options *options, char *error,
                                      size_t error_size);

#endif
