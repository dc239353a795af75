/* SPDX-License-Identifier: MIT
 *
 * Determines from its first bytes how much of a FastCGI request has arrived (FastCGI Specification,
 * sections 3.3, 3.4 and 5). libfcgi reads requests with blocking calls, so a thread that must not
 * block passes it only complete requests. It also aborts the process if a parameter's length is
 * near INT_MAX, so it is never given parameters that have not been checked here. */
#ifndef SERVER_FRAME_H
#define SERVER_FRAME_H

#include <stddef.h>

enum frame {
    FRAME_PARTIAL,  /* the parameters are incomplete */
    FRAME_HEADED,   /* the parameters are complete, the body is not */
    FRAME_COMPLETE, /* the whole request has arrived */
    FRAME_BAD       /* unacceptable version, role, order of records or lengths */
};

/* Examines the first `len` bytes of a request. */
enum frame frame_look(const unsigned char *bytes, size_t len);

#endif
