/* SPDX-License-Identifier: MIT
 *
 * The files of api/ that the service serves, embedded into the program by the build. */
#ifndef APP_PAGES_H
#define APP_PAGES_H

#include "base/embedded.h"

extern const struct embedded_file pages[];
extern const size_t pages_len;

#endif
