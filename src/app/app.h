/* SPDX-License-Identifier: MIT
 *
 * The service without its protocol: a request in, an answer out. A process has one app, and each
 * thread that answers a session of it. */
#ifndef APP_APP_H
#define APP_APP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "app/account.h"
#include "base/arena.h"
#include "base/base.h"
#include "core/config.h"
#include "core/metrics.h"
#include "model/fault.h"
#include "model/http.h"
#include "service/service.h"

struct app {
    const struct config *config;
    struct service service;
    struct metrics *metrics;
    struct metrics_labels labels; /* of the metrics */
    uint64_t started_us;          /* when the service started, for all its workers */
    atomic_bool leaving;          /* set from outside: no request is parked any more */
    atomic_bool stopping; /* set from outside: this process is about to end, and the service too */
    const atomic_bool *service_stopping; /* the same, for all processes; or NULL */
};

/* What one thread answers with. */
struct app_session {
    struct app *app;
    struct service_session service;
    struct metrics_slot slot;
    size_t answer_max; /* a longer body is not answered here: app_handle says so */

    /* Of the current request: */
    struct arena arena;
    struct http_response response;
    struct str error;     /* what is wrong, in words; its data is NULL if `faults` say it */
    struct faults faults; /* likewise, as a list */
    struct account account;
    char revision_text[21]; /* where headers of the answer are kept */
    char age_text[21];
    char tag_text[23];
    char modified_text[30];
};

/* Where a request may be answered. */
enum app_where {
    APP_AT_ONCE,  /* by a thread that others wait for: it waits for nothing */
    APP_READS,    /* its answer takes long to make, or to be taken by its reader */
    APP_CHANGES,  /* it waits for a disk, for other changes, or for the rest of its body */
    APP_DATABASE, /* it waits for a database */
    APP_PARKED    /* it waits for a commit, and no thread with it */
};

/* Where a request goes; plain values that point into the request's target. */
struct app_route {
    size_t endpoint;   /* a row of the endpoints' table; behind its end: no such path */
    struct str raw_id; /* the path's {id}, still encoded */
    enum app_where where;
    uint64_t parked_until_ns; /* of APP_PARKED: a time of the steady clock */
};

/* Opens the metrics in config->state_dir; `labels` gets what they are opened with, and must outlive
 * them. NULL with a sentence in `error`. */
MUST_CHECK struct metrics *app_metrics_open(const struct config *config,
                                            struct metrics_labels *labels, char *error,
                                            size_t error_size);

/* Opens the store and the metrics in config->state_dir; `app` and `config` must outlive what is
 * opened on them. False with a sentence in `error`, and nothing to close. */
MUST_CHECK bool app_open(struct app *app, const struct config *config,
                         const struct store_backend *backend, enum service_use use,
                         uint64_t started_us, char *error, size_t error_size);
void app_close(struct app *app);

/* Opens a session; call from one thread at a time, and use it in one. `answer_max`: the longest
 * body that its thread may wait for a reader to take; SIZE_MAX: any. */
MUST_CHECK bool app_session_open(struct app *app, struct app_session *session, size_t answer_max);
void app_session_close(struct app_session *session);

/* Finds where a request goes, and where it may be answered. `whole`: all of its body has come. When
 * a parked one is woken, or its time is over, it is asked for again. */
struct app_route app_route(struct app_session *session, const struct http_request *request,
                           bool whole);

/* Answers a request into session->response, which lives until app_finish. Every request is counted
 * and logged here, and nowhere else. False: the answer is longer than the session's answer_max;
 * nothing was changed, counted or logged, and a session of APP_READS shall answer. */
MUST_CHECK bool app_handle(struct app_session *session, const struct http_request *request,
                           const struct app_route *route);

/* Frees what the answer held. */
void app_finish(struct app_session *session);

#endif
