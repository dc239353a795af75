/* SPDX-License-Identifier: MIT */
#include "server/fastcgi.h"

#include <errno.h>
#include <fcgiapp.h>
#include <fcgios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "server/frame.h"
#include "server/wire.h"

struct fastcgi {
    FCGX_Request request;
};

bool fastcgi_init(void)
{
    /* By default libfcgi waits up to 2 s for the peer when it closes a connection; this thread has
     * other connections to serve. */
    if (setenv("LIBFCGI_OS_CLOSE_POLL_TIMEOUT", "0", 1) != 0)
        return false;
    return FCGX_Init() == 0;
}

void fastcgi_end(void)
{
    OS_LibShutdown();
}

static void set_timeout(int fd, uint64_t timeout_ms)
{
    struct timeval timeout = {.tv_sec = (time_t)(timeout_ms / 1000),
                              .tv_usec = (suseconds_t)(timeout_ms % 1000 * 1000)};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
}

struct fastcgi *fastcgi_open(int fd, uint64_t timeout_ms)
{
    struct fastcgi *connection = malloc(sizeof *connection);
    if (connection == NULL) {
        close(fd);
        return NULL;
    }
    set_timeout(fd, timeout_ms);
    /* Fails on a unix socket, which does not need it. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    FCGX_InitRequest(&connection->request, -1, 0);
    connection->request.ipcFd = fd;
    connection->request.keepConnection = 1; /* or the first FCGX_Accept_r would close it */
    return connection;
}

int fastcgi_fd(const struct fastcgi *connection)
{
    return connection->request.ipcFd;
}

enum fastcgi_arrival fastcgi_look(const struct fastcgi *connection, unsigned char *scratch)
{
    ssize_t seen =
        recv(connection->request.ipcFd, scratch, FASTCGI_LOOK_SIZE, MSG_PEEK | MSG_DONTWAIT);
    if (seen < 0)
        return errno == EAGAIN || errno == EINTR ? FASTCGI_WAITING : FASTCGI_GONE;
    if (seen == 0)
        return FASTCGI_GONE;
    switch (frame_look(scratch, (size_t)seen)) {
    case FRAME_COMPLETE:
        return FASTCGI_COMPLETE;
    case FRAME_HEADED:
        return seen >= FASTCGI_STREAM_SIZE ? FASTCGI_STREAMING : FASTCGI_WAITING;
    case FRAME_PARTIAL:
        /* No web server allows parameters this large. */
        return seen == FASTCGI_LOOK_SIZE ? FASTCGI_GONE : FASTCGI_WAITING;
    case FRAME_BAD:
        break;
    }
    return FASTCGI_GONE;
}

bool fastcgi_begin(struct fastcgi *connection, const struct cgi_place *place,
                   struct http_request *request)
{
    if (FCGX_Accept_r(&connection->request) < 0)
        return false;
    cgi_read(connection->request.envp, place, request);
    return true;
}

bool fastcgi_read_body(struct fastcgi *connection, struct http_request *request,
                       struct buffer *body, size_t max)
{
    enum { CHUNK = 16 * 1024 };
    FCGX_Stream *in = connection->request.in;
    int got;
    do {
        if (body->len > max) {
            request->body_too_large = true;
            buffer_reset(body, SIZE_MAX);
        }
        char *room = buffer_reserve(body, CHUNK);
        if (room == NULL)
            return false;
        got = FCGX_GetStr(room, CHUNK, in);
        if (got > 0)
            body->len += (size_t)got;
    } while (got == CHUNK);
    if (body->len > max)
        request->body_too_large = true;
    request->body = request->body_too_large ? (struct str){NULL, 0} : buffer_str(body);
    return FCGX_GetError(in) == 0;
}

static void put(void *out, struct str text)
{
    const size_t most = 1 << 30; /* libfcgi counts in int */
    while (text.len > 0) {
        size_t part = text.len < most ? text.len : most;
        if (FCGX_PutStr(text.data, (int)part, out) < 0)
            return;
        text.data += part;
        text.len -= part;
    }
}

/* Ends the request in such a way that the web server closes the connection. If we simply closed it,
 * the next request might already be on its way, and nginx does not retry a POST.
 *
 * nginx takes END_REQUEST as the end of the answer, and keeps the connection only if its buffer
 * ends there as well: ngx_http_fastcgi_module.c sets `keepalive` if `f->pos + f->padding ==
 * f->last`, but not if it is less (since 1.1.4, which introduced keepalive; the same in 1.22 and
 * 1.31). We therefore append the header of a stray record in the same send, so that nginx receives
 * both together. No specification guarantees this behaviour; tests/e2e/test_load.py checks that
 * nginx has it.
 *
 * nWriters == 3 prevents libfcgi from sending an END_REQUEST of its own. */
static void end_for_good(FCGX_Request *request)
{
    static const char complete[8] = {0}; /* application status and protocol status (section 5.5) */
    char storage[3 * WIRE_HEADER_LEN];
    struct buffer end = buffer_on(storage, sizeof storage);
    wire_append_record(&end, WIRE_END_REQUEST, (unsigned)request->requestId,
                       (struct str){complete, sizeof complete});
    wire_append_record(&end, WIRE_UNKNOWN_TYPE, 0, STR(""));
    request->nWriters = 3;
    FCGX_FClose(request->err);
    if (FCGX_FClose(request->out) != 0) /* the peer is gone */
        return;
    ssize_t sent = send(request->ipcFd, end.data, end.len, MSG_NOSIGNAL);
    (void)sent; /* the connection is closed next in any case */
}

bool fastcgi_finish(struct fastcgi *connection, const struct http_response *response, bool last)
{
    FCGX_Request *request = &connection->request;
    cgi_put_response(put, request->out, response);
    if (last && request->keepConnection) {
        end_for_good(request);
        return false;
    }
    FCGX_Finish_r(request);
    return request->ipcFd >= 0;
}

void fastcgi_close(struct fastcgi *connection)
{
    FCGX_Free(&connection->request, 0);
    if (connection->request.ipcFd >= 0)
        close(connection->request.ipcFd);
    free(connection);
}
