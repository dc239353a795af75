/* SPDX-License-Identifier: MIT */
#include "server/frame.h"

#include <stdbool.h>

/* The specification's numbers, section 8. */
enum { PROTOCOL_VERSION = 1, HEADER_LEN = 8, BEGIN_LEN = 8, RESPONDER = 1 };
enum { BEGIN_REQUEST = 1, PARAMS = 4, STDIN = 5 };

struct record {
    unsigned version;
    unsigned type;
    unsigned request_id;
    size_t content_len;
    size_t padding_len;
    const unsigned char *content;
};

static unsigned two_bytes(const unsigned char *bytes)
{
    return (unsigned)bytes[0] << 8 | bytes[1];
}

static struct record read_header(const unsigned char *bytes)
{
    return (struct record){
        .version = bytes[0],
        .type = bytes[1],
        .request_id = two_bytes(bytes + 2),
        .content_len = two_bytes(bytes + 4),
        .padding_len = bytes[6],
        .content = bytes + HEADER_LEN,
    };
}

struct progress {
    unsigned request_id; /* 0: no request has begun */
    bool has_params;
    bool has_body;
};

/* Goes one whole record further. False: the record does not belong there. */
static bool advance(struct progress *progress, const struct record *record)
{
    if (record->request_id == 0) /* a management record: libfcgi answers it */
        return true;
    if (record->type == BEGIN_REQUEST) {
        bool first = progress->request_id == 0;
        progress->request_id = record->request_id;
        return first && record->content_len == BEGIN_LEN && two_bytes(record->content) == RESPONDER;
    }
    if (record->request_id != progress->request_id)
        return false;
    if (record->type == PARAMS && !progress->has_params) {
        progress->has_params = record->content_len == 0;
        return true;
    }
    if (record->type == STDIN && progress->has_params) {
        progress->has_body = record->content_len == 0;
        return true;
    }
    return false;
}

enum frame frame_look(const unsigned char *bytes, size_t len)
{
    struct progress progress = {0};
    while (len >= HEADER_LEN && !progress.has_body) {
        struct record record = read_header(bytes);
        size_t record_len = HEADER_LEN + record.content_len + record.padding_len;
        if (record.version != PROTOCOL_VERSION)
            return FRAME_BAD;
        if (len < record_len)
            break;
        if (!advance(&progress, &record))
            return FRAME_BAD;
        bytes += record_len;
        len -= record_len;
    }
    return progress.has_body ? FRAME_COMPLETE : progress.has_params ? FRAME_HEADED : FRAME_PARTIAL;
}
