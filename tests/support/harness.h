/* SPDX-License-Identifier: MIT
 *
 * The whole request path in one process, without nginx, FastCGI or forks. */
#ifndef SUPPORT_HARNESS_H
#define SUPPORT_HARNESS_H

#include "app/app.h"

struct harness {
    struct config config;
    struct keyring keyring;
    struct providers providers;
    struct vault vault;
    struct app_parts parts;
    struct app app;
    struct app_session session;
    char state_dir[64];
};

/* Opens a service with a back-end in a new directory. `environment` is NAME, value, …, NULL; it may
 * be NULL. Failure ends the test. */
void harness_open(struct harness *harness, const struct store_backend *backend,
                  const char *const *environment);
void harness_close(struct harness *harness);

/* Answers a request; the answer is valid until the next one. */
const struct http_response *harness_call(struct harness *harness,
                                         const struct http_request *request);

/* Like harness_call, for the common parts of a request; a body is sent as JSON. */
const struct http_response *harness_send(struct harness *harness, const char *method,
                                         const char *target, const char *body);

/* Returns a header of an answer; empty if it is absent. */
struct str harness_header(const struct http_response *response, const char *name);

/* Create a new directory for a test, and remove it with all its contents. */
void directory_make(char path[64]);
void directory_remove(const char *path);

#endif
