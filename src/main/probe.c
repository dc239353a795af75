/* SPDX-License-Identifier: MIT */
#include "main/probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/str.h"

enum {
    NS_PER_MS = 1000000,
    GRACE_MS = 1000, /* beyond READINESS_TIMEOUT, for the answer's way */
    CHUNK = 4096,
    ANSWER_MAX = 65536,
    /* FastCGI 1.0, sections 3.3 and 8 */
    PROTOCOL = 1,
    BEGIN_REQUEST = 1,
    END_REQUEST = 3,
    PARAMS = 4,
    STDIN = 5,
    STDOUT = 6,
    RESPONDER = 1,
    HEADER_SIZE = 8
};

static int complain(const char *reason, const char *detail)
{
    fprintf(stderr, "integration-service: probe: %s%s\n", reason, detail);
    return EXIT_FAILURE;
}

/* ---- the connection ---- */

static int connect_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    int reason = errno;
    if (fd >= 0)
        close(fd);
    errno = reason;
    return -1;
}

/* ADDRESS:PORT, of IPv4, as LISTEN has it. */
static int connect_tcp(const char *where)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    const char *colon = strrchr(where, ':');
    char host[INET_ADDRSTRLEN] = "";
    uint64_t port = 0;
    if (colon != NULL && (size_t)(colon - where) < sizeof host)
        memcpy(host, where, (size_t)(colon - where));
    if (colon == NULL || !str_to_u64(str_from(colon + 1), &port) || port > UINT16_MAX ||
        inet_pton(AF_INET, host, &address.sin_addr) != 1) {
        errno = EINVAL;
        return -1;
    }
    address.sin_port = htons((uint16_t)port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    int reason = errno;
    if (fd >= 0)
        close(fd);
    errno = reason;
    return -1;
}

/* ---- the request and its answer, in FastCGI ---- */

static void append_record(struct buffer *out, char type, struct str content)
{
    const char header[HEADER_SIZE] = {
        PROTOCOL, type, 0, 1, (char)(content.len >> 8), (char)(content.len & 0xFF), 0, 0};
    buffer_append(out, header, sizeof header);
    buffer_append_str(out, content);
}

static void append_pair(struct buffer *out, const char *name, const char *value)
{
    buffer_append_char(out, (char)strlen(name));
    buffer_append_char(out, (char)strlen(value));
    buffer_append_str(out, str_from(name));
    buffer_append_str(out, str_from(value));
}

static bool send_request(int fd, const char *path)
{
    static const char begin[] = {0, RESPONDER, 0, 0, 0, 0, 0, 0};
    char storage[512];
    char pairs_storage[128];
    struct buffer out = buffer_on(storage, sizeof storage);
    struct buffer pairs = buffer_on(pairs_storage, sizeof pairs_storage);
    append_pair(&pairs, "REQUEST_METHOD", "GET");
    append_pair(&pairs, "REQUEST_URI", path);
    append_record(&out, BEGIN_REQUEST, (struct str){begin, sizeof begin});
    append_record(&out, PARAMS, buffer_str(&pairs));
    append_record(&out, PARAMS, STR(""));
    append_record(&out, STDIN, STR(""));
    return send(fd, out.data, out.len, MSG_NOSIGNAL) == (ssize_t)out.len;
}

/* Reads more of the answer; false at its end, or when the time is over. */
static bool read_more(int fd, struct buffer *answer, uint64_t deadline_ns)
{
    char *room = buffer_reserve(answer, CHUNK);
    if (room == NULL || answer->len > ANSWER_MAX ||
        poll(&(struct pollfd){fd, POLLIN, 0}, 1, clock_ms_until(deadline_ns)) <= 0)
        return false;
    ssize_t got = recv(fd, room, CHUNK, 0);
    answer->len += got > 0 ? (size_t)got : 0;
    return got > 0;
}

/* Takes the records' output out of `answer`; whether the last one has come. */
static bool take_output(const struct buffer *answer, struct buffer *output)
{
    const unsigned char *at = (const unsigned char *)answer->data;
    size_t left = answer->len;
    buffer_reset(output, SIZE_MAX);
    while (left >= HEADER_SIZE) {
        size_t content = (size_t)at[4] << 8 | at[5];
        size_t size = HEADER_SIZE + content + at[6];
        if (at[1] == END_REQUEST)
            return true;
        if (left < size)
            return false;
        if (at[1] == STDOUT)
            buffer_append(output, at + HEADER_SIZE, content);
        at += size;
        left -= size;
    }
    return false;
}

/* Says whether the answer, "Status: 200 OK" and a body, is a good one. */
static int judge(struct buffer *output)
{
    buffer_append_char(output, '\0');
    const char *body = output->failed ? NULL : strstr(output->data, "\r\n\r\n");
    if (body == NULL)
        return complain("the answer is none: is LISTEN another program's socket?", "");
    if (strncmp(output->data, "Status: 200", strlen("Status: 200")) == 0)
        return EXIT_SUCCESS;
    return complain("answered ", body + strlen("\r\n\r\n"));
}

static int ask(int fd, const char *path, uint64_t timeout_ms)
{
    uint64_t deadline_ns = clock_steady_ns() + timeout_ms * NS_PER_MS;
    struct buffer answer = {0};
    struct buffer output = {0};
    bool complete = false;
    if (send_request(fd, path))
        while (!complete && read_more(fd, &answer, deadline_ns))
            complete = take_output(&answer, &output);
    int status = complete ? judge(&output) : complain("no answer from the service in time", "");
    buffer_release(&answer);
    buffer_release(&output);
    return status;
}

int probe_run(const struct config *config, bool ready)
{
    char address[512];
    const char *path = ready ? "/readiness" : "/health";
    if (!config_listen_address(config, address, sizeof address))
        return complain("STATE_DIR: the path is too long", "");
    bool is_unix = strncmp(address, "unix:", 5) == 0;
    int fd = is_unix ? connect_unix(address + 5) : connect_tcp(address);
    if (fd < 0) {
        fprintf(stderr, "integration-service: probe: cannot connect to %s: %s\n", address,
                strerror(errno));
        return EXIT_FAILURE;
    }
    int status = ask(fd, path, config->readiness_timeout_ms + GRACE_MS);
    close(fd);
    return status;
}
