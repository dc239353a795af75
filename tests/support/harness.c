/* SPDX-License-Identifier: MIT */
#include "harness.h"

#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "core/log.h"

static const char *const *variables;

static const char *look_up(const char *name)
{
    for (const char *const *at = variables; at != NULL && at[0] != NULL; at += 2)
        if (strcmp(at[0], name) == 0)
            return at[1];
    return NULL;
}

void directory_make(char path[64])
{
    snprintf(path, 64, "/tmp/integration-test-XXXXXX");
    cr_assert(mkdtemp(path) != NULL);
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status;
    (void)type;
    (void)place;
    return remove(path);
}

void directory_remove(const char *path)
{
    nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

void harness_open(struct harness *harness, const struct store_backend *backend,
                  const char *const *environment)
{
    char error[PROVIDERS_ERROR_SIZE] = "";
    *harness = (struct harness){0};
    log_open(LOG_CRITICAL, STDERR_FILENO);
    directory_make(harness->state_dir);
    variables = environment;
    cr_assert(config_load(&harness->config, look_up, stderr) == 0);
    harness->config.state_dir = harness->state_dir;
    cr_assert(keyring_open(&harness->keyring, &harness->config, error, sizeof error), "%s", error);
    cr_assert(providers_open(&harness->providers, &harness->config, error), "%s", error);
    harness->parts = (struct app_parts){.config = &harness->config,
                                        .backend = backend,
                                        .keyring = &harness->keyring,
                                        .providers = &harness->providers,
                                        .vault = &harness->vault};
    const struct app_options options = {
        .parts = &harness->parts, .use = SERVICE_POOL, .started_us = clock_wall_us()};
    cr_assert(app_open(&harness->app, &options, error, sizeof error), "%s", error);
    cr_assert(app_session_open(&harness->app, &harness->session, SIZE_MAX));
}

void harness_close(struct harness *harness)
{
    app_session_close(&harness->session);
    app_close(&harness->app);
    app_parts_close(&harness->parts);
    directory_remove(harness->state_dir);
}

const struct http_response *harness_call(struct harness *harness,
                                         const struct http_request *request)
{
    app_finish(&harness->session);
    struct app_route route = app_route(&harness->session, request);
    cr_assert(app_handle(&harness->session, request, &route));
    return &harness->session.response;
}

const struct http_response *harness_send(struct harness *harness, const char *method,
                                         const char *target, const char *body)
{
    struct http_request request = {.started_ns = clock_steady_ns(),
                                   .method = http_method_from(str_from(method)),
                                   .target = str_from(target),
                                   .body = str_from(body)};
    if (body != NULL)
        request.content_type = STR("application/json");
    return harness_call(harness, &request);
}

struct str harness_header(const struct http_response *response, const char *name)
{
    for (size_t i = 0; i < response->headers_len; i++)
        if (str_equal(response->headers[i].name, str_from(name)))
            return response->headers[i].value;
    return (struct str){NULL, 0};
}
