/* SPDX-License-Identifier: MIT
 *
 * The only way to a store. Everything that reads or changes integrations (handlers, batches, import
 * and export, seeding, readiness, the start of the follower) goes through here, so that deadlines,
 * metrics and authorship are handled in one place. Code above this layer never calls a back-end
 * directly. */
#ifndef SERVICE_SERVICE_H
#define SERVICE_SERVICE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/base.h"
#include "core/config.h"
#include "core/metrics.h"
#include "providers/providers.h"
#include "seal/vault.h"
#include "store/store.h"

/* Which other processes use the store. */
enum service_use {
    SERVICE_POOL,   /* the other workers of the pool, as many as configured, and a follower */
    SERVICE_HOSTED, /* any number of processes started by a web server, and a follower */
    SERVICE_ALONE   /* no follower runs: query the database itself */
};

/* The operations on a store. The names are metrics labels, indexed by enum service_operation. */
enum service_operation {
    SERVICE_GET,
    SERVICE_LIST,
    SERVICE_CHANGE,
    SERVICE_HISTORY,
    SERVICE_READY,
    SERVICE_OPERATIONS
};
extern const char *const service_operation_names[SERVICE_OPERATIONS];

/* The outcomes of an operation: metrics labels, indexed by enum store_status. */
extern const char *const service_outcome_names[];
extern const size_t service_outcomes_len;

struct service {
    const struct config *config;
    const struct vault *vault; /* what settings are sealed with */
    const struct store_backend *backend;
    struct store *store;
    atomic_bool broken; /* the store failed: only restarting the process can help */
};

/* One thread's handle on the store. */
struct service_session {
    struct service *service;
    struct store_session *store;
    struct metrics_slot *slot; /* where operations are counted; NULL: they are not counted */
    /* For opening what is sealed: */
    struct buffer sealed;
    struct buffer scratch;
};

/* On whose behalf the store is used, and the deadline. */
struct service_caller {
    struct store_author author;
    uint64_t deadline_ns; /* steady clock; UINT64_MAX: no deadline */
    bool keyed;           /* keys are in use: what looks like a mask stands for a stored text */
    bool masked;          /* it may not see secrets: what it reads has masks in their place */
    const struct providers *providers; /* which say what is secret; NULL: all texts are */
};

/* Returns the back-end selected by the configuration. */
const struct store_backend *service_backend(const struct config *config);

/* Opens the store in config->state_dir. Call it once per process, after the last fork; `config` and
 * `vault` must outlive the service. On failure returns false with a message in `error`, and there
 * is nothing to close. */
MUST_CHECK bool service_open(struct service *service, const struct config *config,
                             const struct vault *vault, const struct store_backend *backend,
                             enum service_use use, char *error, size_t error_size);
void service_close(struct service *service);

/* Releases what a successor may need, because this process is about to exit. */
void service_retire(struct service *service);

/* If SEED_DEFAULTS is set, writes the chatbot framework's two default integrations to a store that
 * has never held anything. With a back-end that has a follower this does nothing: the follower does
 * the seeding. On failure returns false with a message in `error`. */
MUST_CHECK bool service_seed(struct service *service, char *error, size_t error_size);

/* Input and callbacks of a follower; see struct store_follow. */
struct service_follow {
    int stop_fd;
    void (*ready)(void *context);
    void *context;
};

/* service_is_followed: whether the store needs a follower process.
 * service_follow: runs the follower until told to stop, then returns true. Returns false with a
 * message in `error` if it cannot run. */
bool service_is_followed(const struct store_backend *backend);
MUST_CHECK bool service_follow(const struct config *config, const struct vault *vault,
                               const struct store_backend *backend,
                               const struct service_follow *follow, char *error, size_t error_size);

/* Puts a damaged store out of the way; see set_aside in struct store_backend. */
MUST_CHECK bool service_set_aside(const struct config *config, const struct store_backend *backend,
                                  char *message, size_t message_size);

/* Brings the database schema up to date; see store_pg_migrate. */
enum store_migration service_migrate(const struct config *config, char *error, size_t error_size);

/* Opens a session. Returns false if memory or a reader slot is lacking. `slot` must outlive the
 * session. */
MUST_CHECK bool service_session_open(struct service *service, struct service_session *session,
                                     struct metrics_slot *slot);
void service_session_close(struct service_session *session);

/* Whether reads come from a replica, which may lag behind the database. */
bool service_replicates(const struct service *service);

/* These follow the contracts of the same operations in struct store_backend. */
enum store_status service_get(struct service_session *session, const struct service_caller *caller,
                              struct str id, struct store_read *read, struct store_record *record,
                              struct buffer *out);
enum store_status service_list(struct service_session *session, const struct service_caller *caller,
                               struct store_read *read, store_visit *visit, void *context);
enum store_status service_change(struct service_session *session,
                                 const struct service_caller *caller, struct store_batch *batch);

/* An integration as a change left it. */
struct service_version {
    uint64_t revision;
    uint64_t at_us;
    enum store_operation operation; /* STORE_CREATE, STORE_REPLACE or STORE_REMOVE */
    struct store_author author;     /* empty: unknown */
    struct str members;             /* see struct store_entry */
    struct str document;            /* as the caller may see it; empty: removed */
};

/* Called for one version after another; returns false to stop. */
typedef bool service_visit_version(void *context, const struct service_version *version);

/* Visits the versions of an integration that are kept, newest first, as of a single point in time:
 * those with a revision below `below`; 0: all. STORE_OK, also if nothing is known of it. */
enum store_status service_history(struct service_session *session,
                                  const struct service_caller *caller, struct str id,
                                  uint64_t below, service_visit_version *visit, void *context);

/* What to read of the log of changes. */
struct service_feed {
    bool from_start; /* from where the log begins; else after the version `after` */
    struct store_version after;
    uint64_t limit;        /* at most so many changes are visited; not 0 */
    const struct str *ids; /* only of these integrations; all if ids_len is 0 */
    size_t ids_len;
    struct str provider; /* only integrations of this one; empty: of any */
    unsigned operations; /* only these, a bit set of enum store_operation; 0: all */

    /* Set by the read: */
    struct store_version next; /* where to go on */
    bool more;                 /* there are changes after that */
};

/* Visits changes in order, without documents. STORE_NOT_FOUND: the log does not go on from there,
 * for it is a version of another store or another history, or the changes since are not kept. */
enum store_status service_changes(struct service_session *session,
                                  const struct service_caller *caller, struct service_feed *feed,
                                  store_visit_entry *visit, void *context);

enum service_finding {
    SERVICE_VERSION_FOUND,
    SERVICE_VERSION_REMOVAL,   /* this revision removed the integration */
    SERVICE_VERSION_FORGOTTEN, /* there may have been one, but it is not kept any more */
    SERVICE_VERSION_UNKNOWN    /* the integration has never had this revision */
};

/* Appends to `out` what an integration was after a revision, unmasked. */
enum store_status service_find_version(struct service_session *session,
                                       const struct service_caller *caller, struct str id,
                                       uint64_t revision, enum service_finding *finding,
                                       struct buffer *out);

/* Reads the random key of the store, from which masks are made. */
enum store_status service_mask_key(struct service_session *session,
                                   const struct service_caller *caller,
                                   uint8_t key[STORE_MASK_KEY_LEN]);

/* Appends a document as the caller may see it. If it fails, nothing is appended. */
enum store_status service_mask(struct service_session *session, const struct service_caller *caller,
                               struct str document, struct buffer *out);

/* Whether a document may hold texts that look like masks, which service_unmask must look at. */
bool service_has_masks(const struct service_caller *caller, struct str document);

enum service_unmasking {
    SERVICE_UNMASKED,        /* no text of the document looks like a mask */
    SERVICE_MASK_WRONG,      /* a mask stands for no stored text of its place */
    SERVICE_UNMASKING_FAILED /* try again later */
};

/* Replaces masks in *document by the texts of the stored document that they stand for; `stored`
 * empty: there is none. The new document is in `arena`, and so is *member, the outermost member of
 * the settings that a wrong mask is in. */
MUST_CHECK enum service_unmasking service_unmask(struct service_session *session,
                                                 const struct service_caller *caller,
                                                 struct str stored, struct arena *arena,
                                                 struct str *document, struct str *member);

/* Reads the document that a change will be based on, unmasked, using the request's `read`. It may
 * come from a lagging replica unless read->fresh is set; a document missing from the replica is
 * looked up in the database. */
enum store_status service_get_to_change(struct service_session *session,
                                        const struct service_caller *caller, struct str id,
                                        struct store_read *read, struct store_record *record,
                                        struct buffer *out);

/* Whether the service is ready according to READINESS_POLICY: STORE_OK, or the reason why not. */
enum store_status service_ready(struct service_session *session,
                                const struct service_caller *caller);

enum store_status service_stats(struct service_session *session, struct store_stats *stats);

/* See the same operations of struct store_backend. */
enum store_status service_reseal(struct service_session *session,
                                 const struct service_caller *caller,
                                 struct store_resealing *resealing);
enum store_status service_holdings(struct service_session *session, struct store_read *read,
                                   struct store_holding list[VAULT_KEYS_MAX], size_t *len);

/* Gets the version of the store that reads currently see. Not counted. */
enum store_status service_version(struct service_session *session, struct store_version *version);

/* Whether one of these integrations has a change after that revision, as far as it is still there.
 * Not counted. */
bool service_has_newer(struct service_session *session, const struct str *ids, size_t ids_len,
                       uint64_t revision);

/* The event that is signalled after a commit by any process on this host. */
struct event *service_commits(struct service *service);

#endif
