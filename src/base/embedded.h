/* SPDX-License-Identifier: MIT
 *
 * Files embedded into the program by the build (build-aux/embed-files). */
#ifndef BASE_EMBEDDED_H
#define BASE_EMBEDDED_H

#include <stddef.h>

struct embedded_file {
    const char *name; /* without directory and ".in" */
    const char *text;
};

#endif
