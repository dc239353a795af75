/* SPDX-License-Identifier: MIT
 *
 * Values of connection parameters that libpq looks at only when it connects, and some that would
 * connect to what the service cannot use. The rules are those of the PostgreSQL manual, "Parameter
 * Key Words" in the chapter on libpq. */
#ifndef STORE_PG_PARAMETERS_H
#define STORE_PG_PARAMETERS_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/base.h"

/* Checks the parameters in a list as PQconninfoParse(3) returns it. On failure returns false with a
 * message in `error` that names the parameter and not its value. */
MUST_CHECK bool pg_parameters_check(const PQconninfoOption *options, char *error,
                                    size_t error_size);

#endif
