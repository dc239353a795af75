/* SPDX-License-Identifier: MIT
 *
 * nginx as a part of the service (`serve --with-nginx`): configured from the templates in nginx/,
 * in the state directory, as the user who runs the service. The system's own nginx is left alone.
 *
 * Limits: if HOST is a name with several addresses, only the first is checked. If another program
 * takes the port between the check and nginx's start, nginx reports it and ends. */
#ifndef MAIN_NGINX_H
#define MAIN_NGINX_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/base.h"
#include "core/config.h"

/* Checks that HOST and PORT are free, and writes the configuration to STATE_DIR/nginx, for a
 * service that listens at `fastcgi_address` (address.h). False with a sentence in `error`. */
MUST_CHECK bool nginx_prepare(const struct config *config, const char *fastcgi_address, char *error,
                              size_t error_size);

/* Writes the configuration again and makes the running nginx reload it. False with a sentence in
 * `error`. */
MUST_CHECK bool nginx_renew(const struct config *config, const char *fastcgi_address, pid_t nginx,
                            char *error, size_t error_size);

/* Starts nginx in the foreground, as a child that ends gracefully when this process dies. -1: the
 * fork failed. A child that cannot find nginx says so and exits with 127. */
MUST_CHECK pid_t nginx_start(const struct config *config);

/* Whether something accepts connections at HOST and PORT. */
bool nginx_answers(const struct config *config);

/* Writes "http://HOST:PORT" into `url`. */
void nginx_url(const struct config *config, char *url, size_t size);

/* Whether HOST is reached from other machines; false also if it is no address. */
bool nginx_is_public(const struct config *config);

#endif
