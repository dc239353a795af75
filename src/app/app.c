/* SPDX-License-Identifier: MIT */
#include "app/app.h"

#include <stdio.h>

#include "app/answer.h"
#include "app/endpoints.h"
#include "app/gate.h"
#include "base/clock.h"
#include "core/log.h"

enum {
    PATH_SIZE = 512,
    BODY_KEPT = 256 * 1024 /* memory that a session keeps for the bodies of later answers */
};

/* ---- opening and closing ---- */

struct metrics *app_metrics_open(const struct config *config, struct metrics_labels *labels,
                                 char *error, size_t error_size)
{
    char path[PATH_SIZE];
    if (!config_metrics_path(config, path, sizeof path)) {
        snprintf(error, error_size, "STATE_DIR: the path is too long");
        return NULL;
    }
    *labels = (struct metrics_labels){.endpoints = endpoint_labels,
                                      .endpoints_len = endpoints_len + 1,
                                      .methods = http_method_names,
                                      .methods_len = HTTP_METHODS,
                                      .statuses = http_statuses,
                                      .statuses_len = http_statuses_len,
                                      .operations = service_operation_names,
                                      .operations_len = SERVICE_OPERATIONS,
                                      .outcomes = service_outcome_names,
                                      .outcomes_len = service_outcomes_len};
    return metrics_open(path, labels, error, error_size);
}

static bool open_metrics(struct app *app, char *error, size_t error_size)
{
    app->metrics = app_metrics_open(app->config, &app->labels, error, error_size);
    if (app->metrics != NULL)
        log_count_in(metrics_log_counts(app->metrics));
    return app->metrics != NULL;
}

void app_parts_close(const struct app_parts *parts)
{
    vault_release(parts->vault);
    providers_close(parts->providers);
    keyring_close(parts->keyring);
}

bool app_open(struct app *app, const struct app_options *options, char *error, size_t error_size)
{
    const struct app_parts *parts = options->parts;
    *app = (struct app){.config = parts->config,
                        .keyring = parts->keyring,
                        .providers = parts->providers,
                        .started_us = options->started_us,
                        .streams = options->use == SERVICE_POOL};
    if (!service_open(&app->service, parts->config, parts->vault, parts->backend, options->use,
                      error, error_size))
        return false;
    if (service_seed(&app->service, error, error_size) && open_metrics(app, error, error_size))
        return true;
    service_close(&app->service);
    return false;
}

void app_close(struct app *app)
{
    log_count_in(NULL);
    metrics_close(app->metrics);
    service_close(&app->service);
}

bool app_session_open(struct app *app, struct app_session *session, size_t answer_max)
{
    *session = (struct app_session){.app = app, .answer_max = answer_max};
    if (!service_session_open(&app->service, &session->service, &session->slot))
        return false;
    session->faults.arena = &session->arena;
    account_open(&session->account);
    metrics_claim(app->metrics, &session->slot, true);
    return true;
}

void app_session_close(struct app_session *session)
{
    service_session_close(&session->service);
    buffer_release(&session->response.body);
    arena_release(&session->arena);
}

/* ---- handling a request ---- */

/* Replaces an answer that is incomplete for lack of memory by an error. */
static void check_memory(const struct call *call)
{
    struct app_session *session = call->session;
    struct http_response *response = &session->response;
    if (!response->body.failed && !session->arena.failed)
        return;
    buffer_release(&response->body);
    response->headers_len = 0;
    answer_error(call, 500, STR("Internal Server Error"));
    answer_write_detail(call);
    LOG(LOG_ERROR, "out of memory", LOG_NUMBER("status", 500));
}

/* Ends the answering of a further part. The stream ends when the worker does, and where anything
 * but a part is the answer: it is too late to say what. */
static void end_part(struct app_session *session)
{
    struct http_response *response = &session->response;
    bool failed = session->arena.failed || response->body.failed;
    metrics_cancel(&session->slot);
    if (failed || response->part != HTTP_NEXT_PART)
        buffer_reset(&response->body, SIZE_MAX);
    if (failed || response->part != HTTP_NEXT_PART || atomic_load(&session->app->leaving))
        response->part = HTTP_LAST_PART;
}

bool app_handle(struct app_session *session, const struct http_request *request,
                const struct app_route *route)
{
    struct http_response *response = &session->response;
    struct account *account = &session->account;
    account_begin(account, request);
    struct call call = {.session = session,
                        .request = request,
                        .caller = {.author.request_id = account->id,
                                   .deadline_ns = request->started_ns +
                                                  session->app->config->db_timeout_ms * NS_PER_MS}};
    metrics_begin(&session->slot);
    gate_pass(&call, route);
    if (request->stream.begun) {
        end_part(session);
        return true;
    }
    if (response->body.len > session->answer_max) {
        metrics_cancel(&session->slot);
        return false;
    }
    check_memory(&call);
    response->without_body = request->method == HTTP_HEAD;
    account->key = str_from(session->grant.name);
    account_tell(account, response);
    account_end(account, &session->slot, request, response, route->endpoint);
    return true;
}

void app_finish(struct app_session *session)
{
    struct buffer body = session->response.body;
    buffer_reset(&body, BODY_KEPT);
    session->response = (struct http_response){.body = body};
    session->error = (struct str){NULL, 0};
    session->faults = (struct faults){.arena = &session->arena};
    arena_reset(&session->arena);
}
