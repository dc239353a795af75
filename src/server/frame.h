/* SPDX-License-Identifier: MIT
 *
 * How much of a FastCGI request has arrived, seen from its first bytes (FastCGI Specification,
 * sections 3.3, 3.4 and 5). libfcgi reads a request with blocking calls, so a thread that others
 * wait for hands it only what is all there; and it aborts the process at lengths of parameters near
 * INT_MAX, so it gets none beyond what was seen. */
#ifndef SERVER_FRAME_H
#define SERVER_FRAME_H

#include <stddef.h>

enum frame {
    FRAME_PARTIAL,  /* not all parameters are there */
    FRAME_HEADED,   /* the parameters are, the body is not all there */
    FRAME_COMPLETE, /* the whole request */
    FRAME_BAD       /* not one that this service takes: by its version, role, order or lengths */
};

/* Looks at the first `len` bytes of a request. */
enum frame frame_look(const unsigned char *bytes, size_t len);

#endif
