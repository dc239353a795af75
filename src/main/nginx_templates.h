/* SPDX-License-Identifier: MIT
 *
 * The files of nginx/, as the build put them into the program. */
#ifndef MAIN_NGINX_TEMPLATES_H
#define MAIN_NGINX_TEMPLATES_H

#include "base/embedded.h"

extern const struct embedded_file nginx_templates[];
extern const size_t nginx_templates_len;

#endif
