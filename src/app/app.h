/* SPDX-License-Identifier: MIT
 *
 * The service without its protocol: a request in, an answer out. It opens the store and the
 * metrics of one process; each thread that answers has a session. */
#ifndef APP_APP_H
#define APP_APP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/base.h"
#include "core/config.h"
#include "core/metrics.h"
#include "model/http.h"
#include "store/store.h"

/* What the store is asked to do, for the metrics. */
enum app_operation { APP_GET, APP_LIST, APP_CHANGE, APP_READY, APP_OPERATIONS };

struct app {
    const struct config *config;
    const struct store_backend *backend;
    struct store *store;
    struct metrics *metrics;
    struct metrics_labels labels; /* of the metrics */
    uint64_t started_us;          /* when the service started, for all its workers */
    atomic_bool
        stopping; /* set from outside: this process is about to end, and the service with it */
    const atomic_bool *service_stopping; /* the same, for all processes; or NULL */
    atomic_bool broken; /* set here: the store failed, only a new process can help */
};

/* What one thread answers with. */
struct app_session {
    struct app *app;
    struct store_session *store;
    struct metrics_slot slot;
    size_t answer_max; /* a longer body is not answered here: app_handle says so */
    struct arena arena;
    struct http_response response; /* of the current request */
    uint64_t id_seed;              /* random, for the request ids made here */
    uint64_t id_count;
    char id_text[33];       /* the current request's id, if it was made here */
    char span_id[16];       /* ours, if the request had a traceparent; not ended by a NUL */
    char trace_text[55];    /* likewise, its answer's traceparent */
    char revision_text[21]; /* of its answer's headers */
    char age_text[21];
    char tag_text[23];
    char modified_text[30];
    bool elsewhere; /* this session is not to do it: app_handle says so */
};

/* Where a request goes; plain values that point into the request's target. */
struct app_route {
    size_t endpoint;   /* a row of the endpoints' table; behind its end: no such path */
    struct str raw_id; /* the path's {id}, still encoded */
    bool asks;         /* a database is asked, if there is one: not the replica */
    bool changes;      /* it is not a read: it waits for the disk, and for other changes */
    bool may_wait;     /* for a disk, a lock, a database or a slow reader: not for a thread others
                          wait for */
};

/* What a store is opened with. */
struct store_options app_store_options(const struct config *config);

/* What a store that never held anything starts with, if SEED_DEFAULTS says so: the chatbot
 * framework's own two integrations. */
extern const struct store_change app_defaults[];
extern const size_t app_defaults_len;

/* Opens the metrics in config->state_dir; `labels` gets what they are opened with, and must outlive
 * them. NULL with a sentence in `error`. */
MUST_CHECK struct metrics *app_metrics_open(const struct config *config,
                                            struct metrics_labels *labels, char *error,
                                            size_t error_size);

/* Opens the store, with `options`, and the metrics in config->state_dir; `app` and `config` must
 * outlive what is opened on them. False with a sentence in `error`, and nothing to close. */
MUST_CHECK bool app_open(struct app *app, const struct config *config,
                         const struct store_backend *backend, const struct store_options *options,
                         uint64_t started_us, char *error, size_t error_size);
void app_close(struct app *app);

/* The process is about to end: gives up what its successors may need. */
void app_retire(struct app *app);

/* Opens a session; call from one thread at a time, and use it in one. `answer_max`: the longest
 * body that its thread may wait for a reader to take; SIZE_MAX: any. */
MUST_CHECK bool app_session_open(struct app *app, struct app_session *session, size_t answer_max);
void app_session_close(struct app_session *session);

/* Finds where a request goes, from its method, its target and whether it asks for a copy, for none
 * (Cache-Control) or has one (If-None-Match). */
struct app_route app_route(const struct http_request *request);

/* Answers a request into session->response, which lives until app_finish. Every request is counted
 * and logged here, and nowhere else. False: the answer is longer than the session's answer_max,
 * or takes long to make; nothing was changed, counted or logged, and another session shall answer.
 */
MUST_CHECK bool app_handle(struct app_session *session, const struct http_request *request,
                           const struct app_route *route);

/* Frees what the answer held. */
void app_finish(struct app_session *session);

#endif
