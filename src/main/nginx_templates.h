/* SPDX-License-Identifier: MIT
 *
 * The files of nginx/, as the build put them into the program. */
#ifndef MAIN_NGINX_TEMPLATES_H
#define MAIN_NGINX_TEMPLATES_H

#include <stddef.h>

struct nginx_template {
    const char *name; /* of the file, without ".in" */
    const char *text;
};

extern const struct nginx_template nginx_templates[];
extern const size_t nginx_templates_len;

#endif
