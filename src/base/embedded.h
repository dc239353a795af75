/* SPDX-License-Identifier: MIT
 *
 * Files that the build puts into the program (build-aux/embed-files). */
#ifndef BASE_EMBEDDED_H
#define BASE_EMBEDDED_H

#include <stddef.h>

struct embedded_file {
    const char *name; /* without its directory, and without ".in" */
    const char *text;
};

#endif
