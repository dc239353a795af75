/* SPDX-License-Identifier: MIT
 *
 * The one way to a store. Whoever reads or changes integrations (handlers, batches, import and
 * export, seeding, readiness, the follower's start) does it here, so that what holds for every use
 * of a store has one place: by when it must be done, that it is counted, and on whose behalf it
 * was. No file above this floor calls a back-end. */
#ifndef SERVICE_SERVICE_H
#define SERVICE_SERVICE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"
#include "core/config.h"
#include "core/metrics.h"
#include "store/store.h"

/* Who uses the store beside this process. */
enum service_use {
    SERVICE_POOL,   /* the pool's other workers, as many as configured, and a follower */
    SERVICE_HOSTED, /* any number of processes that a web server starts, and a follower */
    SERVICE_ALONE   /* nobody follows the database: it is asked itself */
};

/* What the store is asked to do: the labels of the metrics, by enum service_operation. */
enum service_operation {
    SERVICE_GET,
    SERVICE_LIST,
    SERVICE_CHANGE,
    SERVICE_READY,
    SERVICE_OPERATIONS
};
extern const char *const service_operation_names[SERVICE_OPERATIONS];

/* How it went: likewise, by enum store_status. */
extern const char *const service_outcome_names[];
extern const size_t service_outcomes_len;

struct service {
    const struct config *config;
    const struct store_backend *backend;
    struct store *store;
    atomic_bool broken; /* the store failed: only a new process can help */
};

/* What one thread uses the store with. */
struct service_session {
    struct service *service;
    struct store_session *store;
    struct metrics_slot *slot; /* counts the operations; NULL: nobody does */
};

/* On whose behalf the store is used, and by when it must have answered. */
struct service_caller {
    struct store_author author;
    uint64_t deadline_ns; /* of the steady clock; UINT64_MAX: whenever */
};

/* The back-end that the configuration asks for. */
const struct store_backend *service_backend(const struct config *config);

/* Opens the store in config->state_dir; `config` must outlive the service. Once a process, and
 * after its last fork. False with a sentence in `error`, and nothing to close. */
MUST_CHECK bool service_open(struct service *service, const struct config *config,
                             const struct store_backend *backend, enum service_use use, char *error,
                             size_t error_size);
void service_close(struct service *service);

/* The process is about to end: gives up what its successors may need. */
void service_retire(struct service *service);

/* Writes the chatbot framework's two integrations, if SEED_DEFAULTS says so, to a store that never
 * held anything; in a store with a follower, that one does it. False with a sentence in `error`. */
MUST_CHECK bool service_seed(struct service *service, char *error, size_t error_size);

/* What a follower is told and tells; see struct store_follow. */
struct service_follow {
    int stop_fd;
    void (*ready)(void *context);
    void *context;
};

/* Whether the store has to be followed by a process of its own; and being that process, until told
 * to stop: true. False with a sentence in `error`: it cannot. */
bool service_is_followed(const struct store_backend *backend);
MUST_CHECK bool service_follow(const struct config *config, const struct store_backend *backend,
                               const struct service_follow *follow, char *error, size_t error_size);

/* Brings a database's schema up to date; see store_pg_migrate. */
enum store_migration service_migrate(const struct config *config, char *error, size_t error_size);

/* False: there is no memory or place for one. `slot` must outlive it. */
MUST_CHECK bool service_session_open(struct service *service, struct service_session *session,
                                     struct metrics_slot *slot);
void service_session_close(struct service_session *session);

/* Whether reads come from a replica, which may be behind. */
bool service_replicates(const struct service *service);

/* Each of these does what struct store_backend promises of it. */
enum store_status service_get(struct service_session *session, const struct service_caller *caller,
                              struct str id, struct store_read *read, struct store_record *record,
                              struct buffer *out);
enum store_status service_list(struct service_session *session, const struct service_caller *caller,
                               struct store_read *read, store_visit *visit, void *context);
enum store_status service_change(struct service_session *session,
                                 const struct service_caller *caller, struct store_batch *batch);

/* Gets what a change is to be based on, with the request's `read`. It may come from a replica that
 * is behind, unless read->fresh is set; what the replica lacks is looked for in the database. */
enum store_status service_get_to_change(struct service_session *session,
                                        const struct service_caller *caller, struct str id,
                                        struct store_read *read, struct store_record *record,
                                        struct buffer *out);

/* Whether the service is ready, as READINESS_POLICY has it: STORE_OK, or why not. */
enum store_status service_ready(struct service_session *session,
                                const struct service_caller *caller);

enum store_status service_stats(struct service_session *session, struct store_stats *stats);

/* The revision that reads have now; not counted. */
enum store_status service_revision(struct service_session *session, uint64_t *revision);

/* The event that something was committed, by any process of this host. */
struct event *service_commits(struct service *service);

#endif
