/* SPDX-License-Identifier: MIT
 *
 * One FastCGI connection of a web server, and the requests that come on it, one after the other.
 * libfcgi does the protocol; when to read is the caller's to say, so it accepts connections itself
 * and asks fastcgi_look first. The only file that knows libfcgi is fastcgi.c. */
#ifndef SERVER_FASTCGI_H
#define SERVER_FASTCGI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buffer.h"
#include "model/http.h"
#include "server/cgi.h"

enum {
    FASTCGI_LOOK_SIZE = 64 * 1024, /* bytes of a request that fastcgi_look can see */
    /* So many of them, and a handler reads the rest as it comes: a peer may send nothing more
     * before some are taken (Apache waits while a quarter of the socket's buffer is full). */
    FASTCGI_STREAM_SIZE = 16 * 1024
};

enum fastcgi_arrival {
    FASTCGI_WAITING,   /* not enough is there: look again when more comes */
    FASTCGI_STREAMING, /* a long body is on its way: reading it may wait */
    FASTCGI_COMPLETE,  /* the whole request is there: reading it does not wait */
    FASTCGI_GONE       /* the peer closed, or sends what is no request: close */
};

struct fastcgi;

/* Prepares libfcgi; once a process, before the first connection. False: it failed. */
MUST_CHECK bool fastcgi_init(void);

/* Frees what fastcgi_init took, after the last connection. */
void fastcgi_end(void);

/* Takes over an accepted, blocking socket. A read or write on it waits `timeout_ms` at the most.
 * NULL (and the socket closed) when there is no memory. */
MUST_CHECK struct fastcgi *fastcgi_open(int fd, uint64_t timeout_ms);

int fastcgi_fd(const struct fastcgi *connection);

/* Sees without waiting how much of the next request is there. `scratch` is FASTCGI_LOOK_SIZE bytes.
 */
enum fastcgi_arrival fastcgi_look(const struct fastcgi *connection, unsigned char *scratch);

/* Reads the parameters of a request that was seen to be there, of a service at `place`. *request
 * points into the connection until fastcgi_finish. False: the peer is gone or broke the protocol;
 * close. */
MUST_CHECK bool fastcgi_begin(struct fastcgi *connection, const struct cgi_place *place,
                              struct http_request *request);

/* Reads the body to its end into `body`, to which request->body points then; one that is longer
 * than `max` is read and dropped, and request->body_too_large set. False: it was cut off, and
 * nothing may be done with the request; close. */
MUST_CHECK bool fastcgi_read_body(struct fastcgi *connection, struct http_request *request,
                                  struct buffer *body, size_t max);

/* Sends the answer and ends the request. True: the connection is kept for the next one. False: it
 * ended, because of `last` or by the peer's wish or fault; close. */
MUST_CHECK bool fastcgi_finish(struct fastcgi *connection, const struct http_response *response,
                               bool last);

/* Closes the socket and frees the connection, at any time. */
void fastcgi_close(struct fastcgi *connection);

#endif
