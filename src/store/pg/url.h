/* SPDX-License-Identifier: MIT
 *
 * Converts DATABASE_URL, as written for SQLAlchemy, into a URI with the same meaning for libpq.
 * libpq itself takes "postgresql+asyncpg://…" for the name of a database on its default socket, and
 * does not know "?ssl=". */
#ifndef STORE_PG_URL_H
#define STORE_PG_URL_H

#include <stdbool.h>

#include "base/buffer.h"
#include "base/str.h"

/* Writes the URI for libpq and a NUL to `uri`, and to `ignored` a comma-separated list of the
 * parameters that are meant only for a Python driver or its pool. Returns false with a message in
 * `error` if `url` is not a PostgreSQL URL; the message quotes at most the name of a parameter.
 *
 *   postgresql:// and postgres://, each optionally with +driver
 *   ?ssl=            sslmode: true, false or the name of a mode
 *   ?timeout=        connect_timeout
 *   ?host=a:1&host=b host=a,b and port=1, */
MUST_CHECK bool pg_url_rewrite(struct str url, struct buffer *uri, struct buffer *ignored,
                               char *error, size_t error_size);

#endif
