/* SPDX-License-Identifier: MIT
 *
 * The configuration: read once from the environment, by one table that is parser, default, range,
 * help and the README's table at once. */
#ifndef CORE_CONFIG_H
#define CORE_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/base.h"
#include "base/str.h"

struct config {
    const char *app_name;
    const char *host;
    uint64_t port;
    const char *root_path;
    const char *listen; /* "unix:PATH" or "ADDRESS:PORT"; empty: a socket in state_dir */
    uint64_t socket_mode;
    const char *state_dir;
    const char *www_dir; /* empty: where it was installed */
    uint64_t workers;    /* 0: one a CPU; config_workers tells */
    uint64_t threads;
    uint64_t log_level; /* enum log_level */
    uint64_t max_body_bytes;
    uint64_t store_max_bytes;
    uint64_t request_timeout_ms;
    uint64_t drain_timeout_ms;
    uint64_t pre_drain_delay_ms;
    const char *cors_allow_origins;
    const char *allowed_hosts;
    uint64_t require_if_match; /* bool */
    uint64_t seed_defaults;    /* bool */
    const char *database_url;  /* empty: the embedded store */
    uint64_t db_pool_size;
    uint64_t db_max_overflow;
    uint64_t db_timeout_ms;
    uint64_t db_prepared_statements; /* bool */
    uint64_t readiness_timeout_ms;
    uint64_t readiness_policy; /* enum readiness_policy */
    uint64_t max_staleness_ms;
};

/* As the READINESS_POLICY option lists them. */
enum readiness_policy { READINESS_STRICT, READINESS_SERVE_STALE };

/* The value of an environment variable, or NULL: getenv, or a stand-in. */
typedef const char *config_lookup(const char *name);

/* Fills *config from the variables that `lookup` knows; an unset or empty one takes its default.
 * Strings stay owned by the environment. For each fault one line that names the variable goes to
 * `errors`, never the value of a secret; returns the number of faults. */
MUST_CHECK unsigned config_load(struct config *config, config_lookup *lookup, FILE *errors);

/* How many workers there are to be: `workers`, or one a CPU. */
size_t config_workers(const struct config *config);

/* Prints NAME=value lines, secrets masked. */
void config_print(const struct config *config, FILE *out);

/* Prints the table of all options in Markdown, as --help and the README show it. */
void config_print_options(FILE *out);

/* Writes the FastCGI address into `address`: `listen`, or the default in `state_dir`. False when it
 * does not fit. */
MUST_CHECK bool config_listen_address(const struct config *config, char *address, size_t size);

#endif
