/* SPDX-License-Identifier: MIT
 *
 * Determines from its first bytes how much of a FastCGI request has arrived (FastCGI Specification,
 * sections 3.3, 3.4 and 5). libfcgi reads requests with blocking calls, so a thread that must not
 * block passes it only complete requests. It also aborts the process if a parameter's length is
 * near INT_MAX, so it is never given parameters that have not been checked here. */
#ifndef SERVER_FRAME_H
#define SERVER_FRAME_H

#include <stdbool.h>
#include <stddef.h>

enum frame {
    FRAME_PARTIAL,  /* the parameters are incomplete */
    FRAME_HEADED,   /* the parameters are complete, the body is not */
    FRAME_COMPLETE, /* the whole request has arrived */
    FRAME_BAD       /* unacceptable version, role, order of records or lengths */
};

/* State of parsing name-value pairs, which may extend over several records. */
struct frame_pairs {
    unsigned char lengths[8]; /* length bytes of the current pair read so far */
    size_t lengths_len;
    size_t skip; /* bytes of its name and value that remain to be skipped */
};

/* Reads a request as it arrives. A zeroed one is ready. */
struct frame_reader {
    size_t at;         /* all records before this offset have been read */
    size_t params_end; /* where the parameters end, once they have been read */
    size_t body_len;   /* bytes of the body in the records read */
    unsigned request_id;
    bool has_params;
    bool has_body; /* to its end */
    struct frame_pairs pairs;
};

/* Continues with the first `len` bytes of the request, which are more than last time. */
enum frame frame_read(struct frame_reader *reader, const unsigned char *bytes, size_t len);

/* Examines the first `len` bytes of a request. */
enum frame frame_look(const unsigned char *bytes, size_t len);

#endif
