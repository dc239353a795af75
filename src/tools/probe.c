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
#include "server/address.h"
#include "server/wire.h"

enum {
    GRACE_MS = 1000, /* in addition to READINESS_TIMEOUT */
    CHUNK = 4096,
    ANSWER_MAX = 65536,
    REQUEST_ID = 1
};

static int complain(const char *reason, const char *detail)
{
    fprintf(stderr, "integration-service: probe: %s%s\n", reason, detail);
    return EXIT_FAILURE;
}

/* ---- FastCGI request and answer ---- */

static void append_pair(struct buffer *out, const char *name, const char *value)
{
    buffer_append_char(out, (char)strlen(name));
    buffer_append_char(out, (char)strlen(value));
    buffer_append_str(out, str_from(name));
    buffer_append_str(out, str_from(value));
}

static bool send_request(int fd, const char *path)
{
    static const char begin[WIRE_BEGIN_LEN] = {0, WIRE_RESPONDER};
    char storage[512];
    char pairs_storage[128];
    struct buffer out = buffer_on(storage, sizeof storage);
    struct buffer pairs = buffer_on(pairs_storage, sizeof pairs_storage);
    append_pair(&pairs, "REQUEST_METHOD", "GET");
    append_pair(&pairs, "REQUEST_URI", path);
    wire_append_record(&out, WIRE_BEGIN_REQUEST, REQUEST_ID, (struct str){begin, sizeof begin});
    wire_append_record(&out, WIRE_PARAMS, REQUEST_ID, buffer_str(&pairs));
    wire_append_record(&out, WIRE_PARAMS, REQUEST_ID, STR(""));
    wire_append_record(&out, WIRE_STDIN, REQUEST_ID, STR(""));
    return send(fd, out.data, out.len, MSG_NOSIGNAL) == (ssize_t)out.len;
}

/* Reads more of the answer. Returns false at its end, on failure or at the deadline. */
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

/* Collects the output from the records in `answer`. Returns whether the last record has arrived. */
static bool take_output(const struct buffer *answer, struct buffer *output)
{
    const unsigned char *at = (const unsigned char *)answer->data;
    size_t left = answer->len;
    buffer_reset(output, SIZE_MAX);
    while (left >= WIRE_HEADER_LEN) {
        struct wire_record record = wire_read_header(at);
        size_t size = wire_record_len(&record);
        if (record.type == WIRE_END_REQUEST)
            return true;
        if (left < size)
            return false;
        if (record.type == WIRE_STDOUT)
            buffer_append(output, record.content, record.content_len);
        at += size;
        left -= size;
    }
    return false;
}

/* Determines the exit status: success for "Status: 200" and a body; otherwise prints the answer. */
static int judge(struct buffer *output)
{
    buffer_append_char(output, '\0');
    const char *body = output->failed ? NULL : strstr(output->data, "\r\n\r\n");
    if (body == NULL)
        return complain("cannot understand the answer: does another program listen on LISTEN?", "");
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
