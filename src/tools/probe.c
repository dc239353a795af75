/* SPDX-License-Identifier: MIT */
#include "tools/probe.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/str.h"
#include "main/address.h"

enum {
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
    uint64_t deadline_ns = clock_after_ms(timeout_ms);
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
    char where[512];
    struct address address;
    const char *path = ready ? "/readiness" : "/health";
    if (!config_listen_address(config, where, sizeof where))
        return complain("STATE_DIR: the path is too long", "");
    const char *wrong = address_parse(&address, where);
    if (wrong != NULL)
        return complain("LISTEN: ", wrong);
    int fd = address_connect(&address);
    if (fd < 0) {
        fprintf(stderr, "integration-service: probe: cannot connect to %s: %s\n", where,
                strerror(errno));
        return EXIT_FAILURE;
    }
    int status = ask(fd, path, config->readiness_timeout_ms + GRACE_MS);
    close(fd);
    return status;
}
