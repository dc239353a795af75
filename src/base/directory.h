/* SPDX-License-Identifier: MIT
 *
 * The directory of the service's files, which hold secrets and are mapped. */
#ifndef BASE_DIRECTORY_H
#define BASE_DIRECTORY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/base.h"

/* Creates the directory for its owner and group if it does not exist. One that belongs to somebody
 * else, who could put links and files of theirs into it, is refused, unless it is root's. Returns
 * false with a message in `error` that names `setting`, where the path comes from. */
MUST_CHECK bool directory_prepare(const char *path, const char *setting, char *error,
                                  size_t error_size);

/* The same for a directory within it, which may not be a symbolic link either. */
MUST_CHECK bool directory_prepare_inside(const char *path, char *error, size_t error_size);

#endif
