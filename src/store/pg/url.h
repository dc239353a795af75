/* SPDX-License-Identifier: MIT
 *
 * DATABASE_URL, as people write it for SQLAlchemy, made into one that libpq understands as it was
 * meant. libpq takes "postgresql+asyncpg://…" for the name of a database on its default socket, and
 * does not know "?ssl=". */
#ifndef STORE_PG_URL_H
#define STORE_PG_URL_H

#include <stdbool.h>

#include "base/buffer.h"
#include "base/str.h"

/* Writes libpq's URI of `url` and a NUL into `uri`, and into `ignored` the names, with commas
 * between, of those of its parameters that mean something to a Python driver or its pool only.
 * False with a sentence in `error` when it is not a URL of PostgreSQL; it repeats nothing of the
 * URL but the name of a parameter.
 *
 *   postgresql:// and postgres://, each also with +driver
 *   ?ssl=            sslmode: true, false or a mode's name
 *   ?timeout=        connect_timeout
 *   ?host=a:1&host=b host=a,b and port=1, */
MUST_CHECK bool pg_url_rewrite(struct str url, struct buffer *uri, struct buffer *ignored,
                               char *error, size_t error_size);

#endif
