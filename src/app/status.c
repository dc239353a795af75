/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "app/answer.h"
#include "app/handlers.h"
#include "base/clock.h"
#include "base/text.h"

void handle_health(const struct call *call)
{
    struct buffer *body = answer_json(call, 200);
    buffer_append_str(body, STR("{\"status\":\"ok\",\"app\":"));
    text_append_json(body, str_from(call->session->app->config->app_name));
    buffer_append_char(body, '}');
}

static bool store_is_ready(const struct call *call)
{
    struct app_session *session = call->session;
    struct service_caller caller = call->caller;
    caller.deadline_ns =
        call->request->started_ns + session->app->config->readiness_timeout_ms * NS_PER_MS;
    return service_ready(&session->service, &caller) == STORE_OK;
}

static bool is_stopping(const struct app *app)
{
    return atomic_load(&app->stopping) ||
           (app->service_stopping != NULL && atomic_load(app->service_stopping));
}

/* A file of keys that cannot be read is told where one looks, but takes no host out of service: the
 * keys that it held before go on to count. */
static void append_warning(const struct call *call, struct buffer *body)
{
    char fault[KEYS_FAULT_SIZE];
    char warning[KEYS_FAULT_SIZE + sizeof "KEYS_FILE: "];
    keyring_fault(call->session->app->keyring, fault);
    if (fault[0] == '\0')
        return;
    snprintf(warning, sizeof warning, "KEYS_FILE: %s", fault);
    buffer_append_str(body, STR(",\"warning\":"));
    text_append_json(body, str_from(warning));
}

static void answer_ready(const struct call *call, struct str word)
{
    struct buffer *body = answer_json(call, 200);
    buffer_append_str(body, STR("{\"status\":"));
    text_append_json(body, word);
    append_warning(call, body);
    buffer_append_char(body, '}');
}

static void answer_readiness(const struct call *call, struct str ready)
{
    if (is_stopping(call->session->app))
        answer_error(call, 503, STR("not ready"));
    else if (!store_is_ready(call))
        answer_error(call, 503, STR("db not ready"));
    else
        answer_ready(call, ready);
}

void handle_readiness(const struct call *call)
{
    answer_readiness(call, STR("ready"));
}

void handle_ready(const struct call *call)
{
    answer_readiness(call, STR("ok"));
}

/* Renders the store's statistics, and those of its database if it has one. */
static void render_store(const struct app *app, const struct store_stats *stats,
                         const struct metrics_page *page)
{
    const struct metrics_sample samples[] = {
        {"integration_store_integrations", NULL, "Integrations in the store.", stats->integrations},
        {"integration_store_revision", NULL, "Changes the store has seen.", stats->revision},
        {"integration_store_used_bytes", NULL, "Size of the store.", stats->used_bytes},
        {"integration_store_max_bytes", NULL, "Size the store can grow to.", stats->max_bytes},
        {"integration_store_readers", NULL, "Most reader slots ever in use at once.",
         stats->readers},
        {"integration_store_oldest_reader_seconds", NULL,
         "How long a reader has kept freed space from being used again.",
         stats->oldest_reader_ms / 1000},
    };
    const struct metrics_sample database[] = {
        {"integration_database_up", NULL, "Whether the database answers the follower.",
         stats->database_up},
        {"integration_database_connections", "state=\"idle\"", "Connections to the database.",
         stats->connections_idle},
        {"integration_database_connections", "state=\"busy\"", NULL, stats->connections_busy},
        {"integration_database_connections_max", NULL, "Connections there may be.",
         stats->connections_max},
        {"integration_database_connects_total", NULL, "Connections opened.", stats->connects},
        {"integration_database_commits_total", NULL, "Changes committed.", stats->commits},
        {"integration_database_failures_total", NULL,
         "Changes and reads that the database did not take.", stats->failures},
        {"integration_replica_copies_total", NULL, "Copies made of the whole database.",
         stats->copies},
        {"integration_replica_revision", NULL, "Revision of the database that the replica has.",
         stats->revision},
    };
    metrics_render_samples(samples, ARRAY_LEN(samples), page);
    if (!service_replicates(&app->service))
        return;
    metrics_render_samples(database, ARRAY_LEN(database), page);
    if (stats->age_ms == UINT64_MAX) /* no replica yet */
        return;
    const struct metrics_sample age = {"integration_replica_age_seconds", NULL,
                                       "Time since the replica was known to lack nothing.",
                                       stats->age_ms / 1000};
    metrics_render_samples(&age, 1, page);
}

/* Renders what each key of the settings holds. */
static void render_keys(struct service_session *session, const struct metrics_page *page)
{
    static const char name[] = "integration_store_sealed";
    static const char help[] = "What is sealed in the store, by key.";
    struct store_holding held[VAULT_KEYS_MAX];
    struct store_read read = {.fresh = false};
    size_t len = 0;
    if (service_holdings(session, &read, held, &len) != STORE_OK)
        return;
    for (size_t i = 0; i < len; i++) {
        char documents[VAULT_NAME_MAX + 64];
        char versions[VAULT_NAME_MAX + 64];
        snprintf(documents, sizeof documents, "key=\"%.*s\",what=\"integrations\"", VAULT_NAME_MAX,
                 held[i].key);
        snprintf(versions, sizeof versions, "key=\"%.*s\",what=\"versions\"", VAULT_NAME_MAX,
                 held[i].key);
        const struct metrics_sample samples[] = {
            {name, documents, i == 0 ? help : NULL, held[i].documents},
            {name, versions, NULL, held[i].versions}};
        metrics_render_samples(samples, ARRAY_LEN(samples), page);
    }
}

/* OpenMetrics if the client names it and does not prefer plain text, as Prometheus does. */
static enum metrics_format choose_format(struct str accept)
{
    bool named;
    bool text_named;
    unsigned openmetrics = http_accept_weight(accept, STR("application/openmetrics-text"), &named);
    unsigned text = http_accept_weight(accept, STR("text/plain"), &text_named);
    return named && openmetrics > 0 && openmetrics >= text ? METRICS_OPENMETRICS
                                                           : METRICS_PROMETHEUS;
}

void handle_metrics(const struct call *call)
{
    struct app_session *session = call->session;
    const struct app *app = session->app;
    struct store_stats stats = {0};
    bool store_up = service_stats(&session->service, &stats) == STORE_OK;
    const struct metrics_page page = {choose_format(call->request->accept),
                                      &session->response.body};
    const struct metrics_sample samples[] = {
        {"process_start_time_seconds", NULL, "Start of the service, in seconds since 1970.",
         app->started_us / US_PER_S},
        {"integration_build_info", "version=\"" PACKAGE_VERSION "\"",
         "The program's version, as a label.", 1},
        {"integration_store_up", NULL, "Whether the store answers.", store_up},
    };
    session->response.status = 200;
    session->response.content_type = metrics_content_type(page.format);
    metrics_render(app->metrics, &page);
    metrics_render_samples(samples, ARRAY_LEN(samples), &page);
    if (store_up) {
        render_store(app, &stats, &page);
        render_keys(&session->service, &page);
    }
    metrics_render_end(&page);
}
