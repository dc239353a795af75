/* SPDX-License-Identifier: MIT
 *
 * The service without its protocol: takes a request and produces an answer. A process has one app;
 * each thread that answers requests has a session of it. */
#ifndef APP_APP_H
#define APP_APP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "access/keyring.h"
#include "access/veil.h"
#include "app/account.h"
#include "base/arena.h"
#include "base/base.h"
#include "core/config.h"
#include "core/metrics.h"
#include "model/fault.h"
#include "model/http.h"
#include "providers/providers.h"
#include "service/service.h"

struct app {
    const struct config *config;
    struct keyring *keyring;
    const struct providers *providers;
    struct service service;
    struct metrics *metrics;
    struct metrics_labels labels; /* the label names that the metrics were opened with */
    uint64_t started_us;          /* when the service started; the same in all its workers */
    bool streams;                 /* answers may come in parts */
    atomic_bool leaving;          /* set from outside: stop parking requests */
    atomic_bool stopping; /* set from outside: this process is stopping, and so is the service */
    const atomic_bool *service_stopping; /* the same flag, shared by all processes; may be NULL */
};

/* One thread's state for answering requests. */
struct app_session {
    struct app *app;
    struct service_session service;
    struct metrics_slot slot;
    size_t answer_max; /* longest body answered in this session; see app_handle */

    /* For the current request: */
    struct arena arena;
    struct http_response response;
    struct str error;     /* the error text; its data is NULL if `faults` describes the error */
    struct faults faults; /* the error as a list of faults */
    struct account account;
    struct key_grant grant;
    struct veil veil;       /* in use if the grant is bound to ids */
    char revision_text[21]; /* storage for the values of response headers */
    char age_text[21];
    char tag_text[VEIL_LEN + 2];
    char cursor_text[2 * VEIL_LEN];
    char modified_text[30];
    char scopes_text[40];
};

/* Which kind of thread may answer a request. */
enum app_where {
    APP_AT_ONCE,  /* a thread that must not block, because other requests wait for it */
    APP_READS,    /* the answer takes long to produce, or to send to a slow reader */
    APP_CHANGES,  /* waits for the disk or for other changes */
    APP_DATABASE, /* waits for the database */
    APP_PROBES,   /* an operator's question: must not wait behind the requests it asks about */
    APP_PARKED    /* waits for a commit, without occupying a thread */
};

/* Where a request is to be handled. It can be copied; raw_id points into the request's target. */
struct app_route {
    size_t endpoint;   /* index into the endpoints table; its length if no path matches */
    struct str raw_id; /* the {id} segment of the path, still percent-encoded */
    enum app_where where;
    uint64_t parked_until_ns; /* for APP_PARKED: when to stop waiting (steady clock) */
};

/* Opens the metrics in config->state_dir. Fills `labels`, which must outlive the metrics. On
 * failure returns NULL with a message in `error`. */
MUST_CHECK struct metrics *app_metrics_open(const struct config *config,
                                            struct metrics_labels *labels, char *error,
                                            size_t error_size);

/* What an app is made of, read before it starts; all of it must outlive the app. */
struct app_parts {
    const struct config *config;
    const struct store_backend *backend;
    struct keyring *keyring;
    struct providers *providers;
    struct vault *vault;
};

/* Lets go of what a process has of these. */
void app_parts_close(const struct app_parts *parts);

struct app_options {
    const struct app_parts *parts;
    enum service_use use;
    uint64_t started_us;
};

/* Opens the store and the metrics in config->state_dir. The app must outlive its sessions. On
 * failure returns false with a message in `error`, and there is nothing to close. */
MUST_CHECK bool app_open(struct app *app, const struct app_options *options, char *error,
                         size_t error_size);
void app_close(struct app *app);

/* Opens a session, to be used by a single thread; calls must not overlap with each other.
 * `answer_max` is the longest body that the thread may block on while sending it; SIZE_MAX: no
 * limit. */
MUST_CHECK bool app_session_open(struct app *app, struct app_session *session, size_t answer_max);
void app_session_close(struct app_session *session);

/* Finds the endpoint of a request and the kind of thread that may answer it. Call it
 * again when a parked request is woken or times out. */
struct app_route app_route(struct app_session *session, const struct http_request *request);

/* Answers a request; the answer is in session->response until app_finish. This is the only place
 * where requests are counted and logged. Returns false if the answer exceeds the session's
 * answer_max: then nothing was changed, counted or logged, and the request must be passed to a
 * session for APP_READS. An answer in parts (model/http.h) is counted and logged with its first. */
MUST_CHECK bool app_handle(struct app_session *session, const struct http_request *request,
                           const struct app_route *route);

/* Releases the memory held by the answer. */
void app_finish(struct app_session *session);

#endif
