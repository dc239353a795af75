/* SPDX-License-Identifier: MIT
 *
 * The files of api/ that the service answers, as the build put them into the program. */
#ifndef APP_PAGES_H
#define APP_PAGES_H

#include <stddef.h>

struct page {
    const char *name; /* of the file */
    const char *text;
};

extern const struct page pages[];
extern const size_t pages_len;

#endif
