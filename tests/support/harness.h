/* SPDX-License-Identifier: MIT
 *
 * The whole request path in one process: no nginx, no FastCGI, no fork. */
#ifndef SUPPORT_HARNESS_H
#define SUPPORT_HARNESS_H

#include "app/app.h"

struct harness {
    struct config config;
    struct app app;
    struct app_session session;
    char state_dir[64];
};

/* Opens a service on a back-end in a new directory. `environment` is NAME, value, …, NULL; it may
 * be NULL. A failure ends the test. */
void harness_open(struct harness *harness, const struct store_backend *backend,
                  const char *const *environment);
void harness_close(struct harness *harness);

/* Answers one request; the answer lives until the next one. */
const struct http_response *harness_call(struct harness *harness,
                                         const struct http_request *request);

/* The same with what most requests have; a body comes as JSON. */
const struct http_response *harness_send(struct harness *harness, const char *method,
                                         const char *target, const char *body);

/* A header of an answer; empty: it has none. */
struct str harness_header(const struct http_response *response, const char *name);

/* A new directory for a test, and its end with all that is in it. */
void directory_make(char path[64]);
void directory_remove(const char *path);

#endif
