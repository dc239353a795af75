/* SPDX-License-Identifier: MIT
 *
 * Opening a store, and the operations on a store as a whole. */
#include <stdio.h>

#include "base/clock.h"
#include "service/service.h"

static const struct store_version never_changed = {0}; /* of a store that never held anything */

static const struct vault no_keys = {0}; /* of what opens no document */

static const struct store_change defaults[] = {
    {STORE_CREATE,
     STR_INIT("facebook"),
     STR_INIT("{\"id\":\"facebook\",\"name\":\"Facebook Messenger\","
              "\"description\":\"Connect with Facebook Messenger\",\"status\":false,"
              "\"settings\":{\"verify\":\"ai-chatbot-framework\",\"secret\":\"\","
              "\"page_access_token\":\"\"}}"),
     {0}},
    {STORE_CREATE,
     STR_INIT("chat_widget"),
     STR_INIT("{\"id\":\"chat_widget\",\"name\":\"Chat Widget\","
              "\"description\":\"Add a chat widget to your website\","
              "\"status\":true,\"settings\":{}}"),
     {0}},
};

const struct store_backend *service_backend(const struct config *config)
{
    return config->database_url[0] == '\0' ? &store_lmdb : &store_pg;
}

/* The number of processes that share the database connections. */
static size_t count_processes(const struct config *config, enum service_use use)
{
    switch (use) {
    case SERVICE_HOSTED: /* the number of processes is unknown: allow each only a few */
        return config->db_pool_size + config->db_max_overflow;
    case SERVICE_ALONE:
        return 1;
    case SERVICE_POOL:
        break;
    }
    return config_workers(config);
}

static struct store_options options_of(const struct config *config, const struct vault *vault,
                                       enum service_use use)
{
    return (struct store_options){
        .directory = config->state_dir,
        .vault = vault,
        .max_bytes = config->store_max_bytes,
        .history = {.versions = config->history_versions, .days = config->history_days},
        .alone = use == SERVICE_ALONE,
        .database = {.url = config->database_url,
                     .connections = config->db_pool_size + config->db_max_overflow,
                     .connections_kept = config->db_pool_size,
                     .processes = count_processes(config, use),
                     .prepare =
                         config->db_prepared_statements && store_pg_prepares(config->database_url),
                     .timeout_ms = config->db_timeout_ms}};
}

bool service_open(struct service *service, const struct config *config, const struct vault *vault,
                  const struct store_backend *backend, enum service_use use, char *error,
                  size_t error_size)
{
    const struct store_options options = options_of(config, vault, use);
    *service = (struct service){.config = config, .vault = vault, .backend = backend};
    service->store = backend->open(&options, error, error_size);
    return service->store != NULL;
}

void service_close(struct service *service)
{
    service->backend->close(service->store);
}

void service_retire(struct service *service)
{
    if (service->backend->retire != NULL)
        service->backend->retire(service->store);
}

bool service_seed(struct service *service, char *error, size_t error_size)
{
    struct service_session session;
    struct service_caller caller = {.author.actor = STR("SEED_DEFAULTS"),
                                    .deadline_ns = clock_after_ms(service->config->db_timeout_ms)};
    struct store_batch batch = {
        .changes = defaults, .len = ARRAY_LEN(defaults), .if_store = &never_changed};
    if (!service->config->seed_defaults || service_is_followed(service->backend))
        return true;
    enum store_status status = STORE_BROKEN;
    if (service_session_open(service, &session, NULL)) {
        status = service_change(&session, &caller, &batch);
        service_session_close(&session);
    }
    bool seeded = status == STORE_OK || status == STORE_CHANGED; /* it held something before */
    if (!seeded)
        snprintf(error, error_size, "cannot write the default integrations to the store");
    return seeded;
}

bool service_is_followed(const struct store_backend *backend)
{
    return backend->follow != NULL;
}

bool service_follow(const struct config *config, const struct vault *vault,
                    const struct store_backend *backend, const struct service_follow *follow,
                    char *error, size_t error_size)
{
    const struct store_options options = options_of(config, vault, SERVICE_POOL);
    const struct store_follow told = {
        .defaults = {.changes = defaults,
                     .len = config->seed_defaults ? ARRAY_LEN(defaults) : 0,
                     .author.actor = STR("SEED_DEFAULTS"),
                     .if_store = &never_changed},
        .stop_fd = follow->stop_fd,
        .ready = follow->ready,
        .context = follow->context,
    };
    return backend->follow(&options, &told, error, error_size);
}

bool service_set_aside(const struct config *config, const struct store_backend *backend,
                       char *message, size_t message_size)
{
    const struct store_options options = options_of(config, &no_keys, SERVICE_ALONE);
    return backend->set_aside(&options, message, message_size);
}

enum store_migration service_migrate(const struct config *config, char *error, size_t error_size)
{
    const struct store_options options = options_of(config, &no_keys, SERVICE_ALONE);
    return store_pg_migrate(&options, error, error_size);
}

bool service_session_open(struct service *service, struct service_session *session,
                          struct metrics_slot *slot)
{
    *session = (struct service_session){.service = service, .slot = slot};
    session->store = service->backend->session_open(service->store);
    return session->store != NULL;
}

void service_session_close(struct service_session *session)
{
    session->service->backend->session_close(session->store);
    buffer_release(&session->sealed);
    buffer_release(&session->scratch);
}
