/* SPDX-License-Identifier: MIT
 *
 * The configuration, read once from the environment. A single table defines each option's parser,
 * default, range and help text, from which the table in docs/configuration.md is also made. */
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
    const char *www_dir;              /* empty: the installed one */
    const char *spool_dir;            /* empty: STATE_DIR/nginx */
    uint64_t allow_anonymous;         /* bool */
    const char *keys_file;            /* empty: STATE_DIR/keys; see config_keys_path */
    const char *encryption_keys_file; /* empty: settings are not sealed */
    const char *providers_dir;        /* directories, separated by ":"; empty: none */
    uint64_t validate_settings;       /* bool */
    uint64_t trust_remote_user;       /* bool */
    uint64_t sandbox;                 /* bool */
    uint64_t core_dumps;              /* bool */
    uint64_t workers;                 /* 0: one per CPU; see config_workers */
    uint64_t threads;
    uint64_t log_level; /* enum log_level */
    uint64_t max_body_bytes;
    uint64_t store_max_bytes;
    uint64_t request_timeout_ms;
    uint64_t drain_timeout_ms;
    uint64_t pre_drain_delay_ms;
    uint64_t history_versions;
    uint64_t history_days;
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

/* In the order in which the READINESS_POLICY option lists them. */
enum readiness_policy { READINESS_STRICT, READINESS_SERVE_STALE };

/* Returns the value of an environment variable, or NULL: getenv, or a substitute. */
typedef const char *config_lookup(const char *name);

/* Fills *config from the variables returned by `lookup`; unset or empty variables get their
 * defaults. Strings remain owned by the environment. Writes one line per fault to `errors`, with
 * the name of the variable but never the value of a secret. Returns the number of faults. */
MUST_CHECK unsigned config_load(struct config *config, config_lookup *lookup, FILE *errors);

/* Returns the number of workers to run: `workers`, or one per CPU. */
size_t config_workers(const struct config *config);

/* Prints NAME=value lines, with secrets masked. */
void config_print(const struct config *config, FILE *out);

/* Prints a Markdown table of all options, as shown by --help and in docs/configuration.md. */
void config_print_options(FILE *out);

/* Stores the path of the file of keys: `keys_file`, or the default in `state_dir`. Returns false if
 * it does not fit. */
MUST_CHECK bool config_keys_path(const struct config *config, char *path, size_t size);

/* Stores the path of the file of metrics, in `state_dir`. Returns false if it does not fit. */
MUST_CHECK bool config_metrics_path(const struct config *config, char *path, size_t size);

/* Stores the FastCGI address in `address`: `listen`, or the default in `state_dir`. Returns false
 * if it does not fit. */
MUST_CHECK bool config_listen_address(const struct config *config, char *address, size_t size);

#endif
