/* SPDX-License-Identifier: MIT */
#include "app/app.h"

#include <stdio.h>
#include <sys/random.h>

#include "app/endpoints.h"
#include "base/clock.h"
#include "core/log.h"

enum {
    PATH_SIZE = 512,
    BODY_KEPT = 256 * 1024 /* memory a session keeps for the next answer's body */
};

const struct store_change app_defaults[] = {
    {STORE_CREATE, STR_INIT("facebook"),
     STR_INIT("{\"id\":\"facebook\",\"name\":\"Facebook Messenger\","
              "\"description\":\"Connect with Facebook Messenger\",\"status\":false,"
              "\"settings\":{\"verify\":\"ai-chatbot-framework\",\"secret\":\"\","
              "\"page_access_token\":\"\"}}"),
     0},
    {STORE_CREATE, STR_INIT("chat_widget"),
     STR_INIT("{\"id\":\"chat_widget\",\"name\":\"Chat Widget\","
              "\"description\":\"Add a chat widget to your website\","
              "\"status\":true,\"settings\":{}}"),
     0},
};

const size_t app_defaults_len = ARRAY_LEN(app_defaults);

struct store_options app_store_options(const struct config *config)
{
    return (struct store_options){
        .directory = config->state_dir,
        .max_bytes = config->store_max_bytes,
        .database = {.url = config->database_url,
                     .connections = config->db_pool_size + config->db_max_overflow,
                     .connections_kept = config->db_pool_size,
                     .processes = config_workers(config),
                     .prepare = config->db_prepared_statements,
                     .timeout_ms = config->db_timeout_ms}};
}

/* A back-end with a follower is seeded by that one. */
static bool seed_defaults(struct app *app, char *error, size_t error_size)
{
    struct store_session *session = app->backend->session_open(app->store);
    enum store_status status = STORE_BROKEN;
    if (session != NULL) {
        struct store_batch batch = {
            .changes = app_defaults, .len = app_defaults_len, .first = true};
        status = app->backend->change(session, &batch);
        app->backend->session_close(session);
    }
    if (status != STORE_OK)
        snprintf(error, error_size, "cannot write the default integrations to the store");
    return status == STORE_OK;
}

static const char *const operations[APP_OPERATIONS] = {
    [APP_GET] = "get", [APP_LIST] = "list", [APP_CHANGE] = "change", [APP_READY] = "ready"};

/* By enum store_status. */
static const char *const outcomes[] = {
    [STORE_OK] = "ok",           [STORE_NOT_FOUND] = "not_found", [STORE_EXISTS] = "exists",
    [STORE_CHANGED] = "changed", [STORE_FULL] = "full",           [STORE_AWAY] = "away",
    [STORE_BROKEN] = "broken"};

struct metrics *app_metrics_open(const struct config *config, struct metrics_labels *labels,
                                 char *error, size_t error_size)
{
    char path[PATH_SIZE];
    int length = snprintf(path, sizeof path, "%s/metrics", config->state_dir);
    if (length < 0 || (size_t)length >= sizeof path) {
        snprintf(error, error_size, "STATE_DIR: the path is too long");
        return NULL;
    }
    *labels = (struct metrics_labels){.endpoints = endpoint_labels,
                                      .endpoints_len = endpoints_len + 1,
                                      .methods = http_method_names,
                                      .methods_len = HTTP_METHODS,
                                      .statuses = http_statuses,
                                      .statuses_len = http_statuses_len,
                                      .operations = operations,
                                      .operations_len = APP_OPERATIONS,
                                      .outcomes = outcomes,
                                      .outcomes_len = ARRAY_LEN(outcomes)};
    return metrics_open(path, labels, error, error_size);
}

static bool open_metrics(struct app *app, char *error, size_t error_size)
{
    app->metrics = app_metrics_open(app->config, &app->labels, error, error_size);
    if (app->metrics != NULL)
        log_count_in(metrics_log_counts(app->metrics));
    return app->metrics != NULL;
}

bool app_open(struct app *app, const struct config *config, const struct store_backend *backend,
              const struct store_options *options, uint64_t started_us, char *error,
              size_t error_size)
{
    *app = (struct app){.config = config, .backend = backend, .started_us = started_us};
    bool seeds = config->seed_defaults && backend->follow == NULL;
    app->store = backend->open(options, error, error_size);
    if (app->store == NULL)
        return false;
    if ((!seeds || seed_defaults(app, error, error_size)) && open_metrics(app, error, error_size))
        return true;
    backend->close(app->store);
    return false;
}

void app_close(struct app *app)
{
    log_count_in(NULL);
    metrics_close(app->metrics);
    app->backend->close(app->store);
}

void app_retire(struct app *app)
{
    if (app->backend->retire != NULL)
        app->backend->retire(app->store);
}

bool app_session_open(struct app *app, struct app_session *session, size_t answer_max)
{
    *session = (struct app_session){.app = app, .answer_max = answer_max};
    session->store = app->backend->session_open(app->store);
    if (session->store == NULL)
        return false;
    metrics_claim(app->metrics, &session->slot, true);
    if (getrandom(&session->id_seed, sizeof session->id_seed, 0) !=
        (ssize_t)sizeof session->id_seed)
        session->id_seed = clock_steady_ns() ^ (uintptr_t)session;
    return true;
}

void app_session_close(struct app_session *session)
{
    session->app->backend->session_close(session->store);
    buffer_release(&session->response.body);
    arena_release(&session->arena);
}

void app_finish(struct app_session *session)
{
    struct buffer body = session->response.body;
    buffer_reset(&body, BODY_KEPT);
    session->response = (struct http_response){.body = body};
    arena_reset(&session->arena);
}
