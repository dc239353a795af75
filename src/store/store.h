/* SPDX-License-Identifier: MIT
 *
 * Where integrations are stored. A back-end is a const struct store_backend; higher layers use only
 * this interface.
 *
 * A store holds documents by id, in order of creation. Every committed change gets the next
 * revision, starting with 1. An acknowledged change survives kill -9 and power loss.
 *
 * After a backup has been restored, revisions are given again, to other changes; so a revision
 * comes with a tag wherever it is compared with one from another time. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buffer.h"
#include "base/event.h"
#include "base/str.h"
#include "seal/vault.h"

enum store_status {
    STORE_OK,
    STORE_NOT_FOUND, /* no such id */
    STORE_EXISTS,    /* the id exists already */
    STORE_CHANGED,   /* the document's revision is not the one required */
    STORE_FULL,      /* size limit reached or disk full: nothing was changed, reads still work */
    STORE_AWAY,      /* try again later; nothing was changed */
    STORE_UNKNOWN,   /* the connection to the database was lost: the changes may have been made */
    STORE_SEALED,    /* a document is sealed with a key that the vault lacks */
    STORE_DAMAGED,   /* a document is not what was written: the disk or the memory changed it */
    STORE_BROKEN     /* the store itself failed; the back-end has logged it */
};

/* What a document, or a whole store, was like after a change. Equal versions mean equal content,
 * also in another history of the store. */
struct store_version {
    uint64_t revision; /* of the last change; 0: the store has never been changed */
    uint64_t tag;      /* tells it from another change with that revision; never 0 */
};

static inline bool store_version_equal(struct store_version a, struct store_version b)
{
    return a.revision == b.revision && a.tag == b.tag;
}

/* For a back-end with a database. */
struct store_database {
    const char *url;         /* contains a password: never log it */
    size_t connections;      /* total for all processes that share the directory */
    size_t connections_kept; /* how many of these stay open when idle */
    size_t processes;        /* number of processes that share them */
    bool prepare;            /* prepare statements and listen for changes */
    uint64_t timeout_ms;     /* for connecting, and for work without a deadline of its own */
};

/* How much of the log of changes is kept, for each integration and in all. */
struct store_keeping {
    uint64_t versions; /* earlier versions of an integration */
    uint64_t days;     /* since a change was made */
};

struct store_options {
    const char *directory;     /* exists, and belongs to the service */
    const struct vault *vault; /* seals the documents that are written; outlives the store */
    uint64_t max_bytes;
    struct store_database database;
    struct store_keeping history;
    bool alone; /* no follower is running: ask the database rather than trust what a follower last
                   reported */
};

enum {
    STORE_MASK_KEY_LEN = 32 /* bytes of the key that masks are made with */
};

enum {
    STORE_IDS_MAX = 100 /* ids that one read may name */
};

/* What to read, and how. */
struct store_read {
    bool fresh;           /* from the database itself, not from its replica */
    uint64_t deadline_ns; /* for a fresh read (steady clock) */
    /* Version that the caller has, of the document (get) or of the store (each). If it is still
     * current, no text is appended and nothing is visited. */
    struct store_version known;
    /* For each(): */
    uint64_t after;        /* only documents with a higher sequence number */
    const struct str *ids; /* only these ids; all if ids_len is 0 */
    size_t ids_len;
    uint64_t wanted; /* the visitor takes at most this many; 0: unlimited */

    /* Set by the read: */
    struct store_version version; /* of the store; get() sets only the revision, and only if the
                                     back-end replicates */
    uint64_t age_ms; /* if the back-end replicates: since the replica was known to be complete */
};

/* A stored document. The text belongs to the store, and is valid until the visitor returns. The
 * times of a store's changes never go back, whatever the clock does. */
struct store_record {
    uint64_t sequence; /* its position in the order of creation */
    uint64_t revision; /* of its last change */
    uint64_t created_us;
    uint64_t updated_us;
    struct str document;
    bool unreadable; /* its settings are missing, because they could not be opened; set by the
                        service (service/service.h) */
};

static inline struct store_version store_record_version(const struct store_record *record)
{
    return (struct store_version){record->revision, record->updated_us};
}

/* Called for one document after another; returns false to stop. */
typedef bool store_visit(void *context, const struct store_record *record);

enum store_operation {
    STORE_CREATE,  /* STORE_EXISTS if the id exists */
    STORE_REPLACE, /* STORE_NOT_FOUND if it does not; keeps the position in the order */
    STORE_PUT,     /* creates or replaces */
    STORE_REMOVE,  /* STORE_NOT_FOUND if it does not exist */
    /* Creates, but gives a document that was removed its old place in the order, if the log of
     * changes still has that; STORE_EXISTS if the id exists. */
    STORE_RECREATE
};

/* The caller ensures that `id` agrees with the id in the document. */
struct store_change {
    enum store_operation operation;
    struct str id;
    struct str document; /* unused by STORE_REMOVE */
    /* STORE_CHANGED if the document has another version; all zeros: any version. */
    struct store_version if_version;
};

/* Who makes a change. */
struct store_author {
    struct str actor;      /* a name; empty: unknown */
    struct str request_id; /* of the request that caused the change; empty: none */
};

/* Changes that are made together, in order, or not at all; each one gets a revision. */
struct store_batch {
    const struct store_change *changes;
    size_t len;
    struct store_author author;
    /* STORE_CHANGED if the store has another version, with `failed` = `len` and the version in
     * `found`; NULL: any version. With the tag 0, only the revision counts. */
    const struct store_version *if_store;
    uint64_t deadline_ns; /* steady clock: until then the change is made, or never */
    bool more;            /* another batch follows at once: a replica need not have this one yet */

    /* Set on success: */
    uint64_t revision; /* of the last change */
    uint64_t made_us;  /* time of the changes; 0: unknown */
    bool unseen;    /* the replica could not be brought up to them in time: reads may miss them */
    size_t created; /* number of STORE_CREATE and STORE_PUT changes whose id did not exist */
    /* Set on failure: */
    size_t failed;              /* index of the change that failed */
    struct store_version found; /* for STORE_EXISTS and STORE_CHANGED: the existing document's */
};

/* A change in the log, which each change is written to in its own transaction. */
struct store_entry {
    uint64_t revision; /* 0: none; `before` is the document as it is now */
    uint64_t at_us;
    enum store_operation operation; /* STORE_CREATE, STORE_REPLACE or STORE_REMOVE */
    struct str id;
    struct store_author author;
    uint64_t tag;          /* of the version that the store had after it; not in a history */
    uint64_t previous_tag; /* of that which it had before; for the back-end */
    struct str members;    /* names of those that changed, a JSON array (model/difference.h) */
    /* The document before; its revision is 0 if there was none, its document.data NULL if it is
     * not kept any more. */
    struct store_record before;
};

/* Called for one entry after another; returns false to stop. Its texts belong to the store, and are
 * valid until the visitor returns. */
typedef bool store_visit_entry(void *context, const struct store_entry *entry);

struct store_stats {
    uint64_t revision;
    uint64_t integrations;
    uint64_t used_bytes;
    uint64_t max_bytes;
    uint64_t readers;          /* most sessions ever open at once, over all processes */
    uint64_t oldest_reader_ms; /* for how long a reader has kept freed space from being used again;
                                  0: none does */

    /* Only for a back-end that replicates: */
    bool database_up;
    uint64_t age_ms; /* of the replica; UINT64_MAX: there is none yet */
    uint64_t connections_idle;
    uint64_t connections_busy;
    uint64_t connections_max;
    uint64_t connects; /* this and the following count from when the directory was created */
    uint64_t commits;
    uint64_t failures;
    uint64_t copies; /* full copies of the database */
};

/* What is sealed with one key. */
struct store_holding {
    char key[VAULT_NAME_MAX + 1];
    uint64_t documents;
    uint64_t versions; /* earlier ones, in the log of changes */
};

/* The sealing of what is there, anew and step by step; zeroed at first. */
struct store_resealing {
    uint64_t deadline_ns; /* of a step (steady clock) */
    /* Set by each step: */
    bool done;
    uint64_t documents; /* that were sealed anew, or unsealed, in all steps */
    uint64_t versions;
    uint64_t unreadable; /* documents and versions that could not be opened */
    /* For the back-end: where to go on. */
    bool of_versions;
    uint64_t sequence;
    uint64_t revision;
};

/* Input and callbacks of a follower. */
struct store_follow {
    struct store_batch defaults;  /* for a database that has never held anything; may be empty */
    int stop_fd;                  /* readable: the follower should stop */
    void (*ready)(void *context); /* called once, when reads can be answered as well as possible */
    void *context;
};

struct store;
struct store_session;

struct store_backend {
    const char *name;
    bool replicates; /* reads come from a replica unless they are fresh */

    /* Keeps this host's replica up to date with the database until told to stop, then returns true.
     * Runs in a process of its own. Returns false with a message in `error` if it cannot start to
     * work, before having called `ready`, or if the replica breaks. NULL if the back-end has no
     * replica. */
    bool (*follow)(const struct store_options *options, const struct store_follow *follow,
                   char *error, size_t error_size);

    /* Opens the store, creating it if it does not exist. Call it once per process, after the last
     * fork. On failure returns NULL with a message in `error` that says what is wrong and what to
     * do. */
    struct store *(*open)(const struct store_options *options, char *error, size_t error_size);
    /* Puts a damaged store out of the way, so that the next open() creates one. Writes to `message`
     * where it is now or, returning false, why not: one that is whole, or that only this process
     * cannot open, stays. NULL if the store is not in the directory. */
    bool (*set_aside)(const struct store_options *options, char *message, size_t message_size);

    /* Closes the store; all sessions must have been closed. */
    void (*close)(struct store *store);
    /* Releases what other processes may need, because this one is about to exit. NULL if there is
     * nothing to release. */
    void (*retire)(struct store *store);

    /* Opens a session, which one thread uses to access the store. Returns NULL if memory or a
     * reader slot is lacking. */
    struct store_session *(*session_open)(struct store *store);
    void (*session_close)(struct store_session *session);

    /* The operations below may also fail with STORE_AWAY (reads: only with a database),
     * STORE_DAMAGED and STORE_BROKEN.
     *
     * Appends the document with this id to `out`, and stores the rest of the record in *record:
     * STORE_OK, STORE_NOT_FOUND. */
    enum store_status (*get)(struct store_session *session, struct store_read *read, struct str id,
                             struct store_record *record, struct buffer *out);
    /* Visits the documents, in order of creation, as of a single point in time: STORE_OK. */
    enum store_status (*each)(struct store_session *session, struct store_read *read,
                              store_visit *visit, void *context);
    /* Makes all changes: STORE_OK; or none: the status of the first change that failed, or
     * STORE_FULL (a removal needs space too). Only STORE_UNKNOWN leaves open which. */
    enum store_status (*change)(struct store_session *session, struct store_batch *batch);
    /* Visits what is kept of an integration, newest first, as of a single point in time: an entry
     * of revision 0, if it exists; then its changes: STORE_OK, also if there is nothing. `from`:
     * not what is newer than the oldest change with this or a later revision, if there is one; 0:
     * all. Uses only `deadline_ns` of *read; a back-end with a database asks that. */
    enum store_status (*history)(struct store_session *session, struct store_read *read,
                                 struct str id, uint64_t from, store_visit_entry *visit,
                                 void *context);
    /* Visits the changes after the revision read->after in order, likewise, and at most
     * read->wanted; those that a program made which does not know the log are missing, as are those
     * that are not kept. No document is given. Sets read->version to the store's, and read->known
     * to that which it had at the revision read->after; its tag is 0 if that is not known. */
    enum store_status (*log)(struct store_session *session, struct store_read *read,
                             store_visit_entry *visit, void *context);
    /* Makes a step: some of the documents and earlier versions that are not sealed with the vault's
     * first key are sealed with it, or unsealed if nothing is to be sealed. What callers see of
     * them, and their versions, stay: STORE_OK, STORE_FULL, STORE_AWAY. */
    enum store_status (*reseal)(struct store_session *session, struct store_resealing *resealing);
    /* Stores what is sealed with each key in `list`, at most VAULT_KEYS_MAX: STORE_OK, STORE_AWAY.
     * With a database, that of a while ago unless read->fresh is set. */
    enum store_status (*holdings)(struct store_session *session, const struct store_read *read,
                                  struct store_holding *list, size_t *len);
    /* Whether changes can be made now: STORE_OK, STORE_AWAY. */
    enum store_status (*ready)(struct store_session *session, uint64_t deadline_ns);
    enum store_status (*stats)(struct store_session *session, struct store_stats *stats);
    /* Reads the store's random key for masks, the same on all hosts: STORE_OK, STORE_AWAY. */
    enum store_status (*mask_key)(struct store_session *session, uint64_t deadline_ns,
                                  uint8_t key[STORE_MASK_KEY_LEN]);

    /* Returns the event signalled after a commit by any process on this host. It lives as long as
     * the store. */
    struct event *(*commits)(struct store *store);
};

/* The embedded store: LMDB, in memory shared by all processes of a host. */
extern const struct store_backend store_lmdb;

/* PostgreSQL, with an LMDB replica on each host that serves reads. */
extern const struct store_backend store_pg;

/* Whether store_pg accepts `url`. If so, stores the names of parameters that mean nothing to
 * PostgreSQL in `ignored`. If not, returns false with a message in `error` that quotes at
 * most the name of a parameter. */
MUST_CHECK bool store_pg_check(const char *url, struct buffer *ignored, char *error,
                               size_t error_size);

/* Whether statements may be prepared on connections to `url`: not if it asks its Python driver not
 * to keep any, as one does behind PgBouncer. */
bool store_pg_prepares(const char *url);

enum store_migration { STORE_MIGRATED, STORE_UP_TO_DATE, STORE_NOT_MIGRATED };

/* Brings the database schema up to date. For STORE_NOT_MIGRATED there is a message in `error`. */
enum store_migration store_pg_migrate(const struct store_options *options, char *error,
                                      size_t error_size);

#endif
