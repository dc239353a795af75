/* SPDX-License-Identifier: MIT
 *
 * FastCGI records (FastCGI Specification 1.0, sections 3.3, 3.4, 5 and 8). */
#ifndef SERVER_WIRE_H
#define SERVER_WIRE_H

#include <stddef.h>

#include "base/buffer.h"

enum { WIRE_VERSION = 1, WIRE_HEADER_LEN = 8, WIRE_BEGIN_LEN = 8, WIRE_RESPONDER = 1 };

enum wire_type {
    WIRE_BEGIN_REQUEST = 1,
    WIRE_END_REQUEST = 3,
    WIRE_PARAMS = 4,
    WIRE_STDIN = 5,
    WIRE_STDOUT = 6,
    WIRE_UNKNOWN_TYPE = 11
};

/* A record. Its content points into the bytes it was read from. */
struct wire_record {
    unsigned version;
    unsigned type;
    unsigned request_id;
    size_t content_len;
    size_t padding_len;
    const unsigned char *content;
};

static inline unsigned wire_two_bytes(const unsigned char *bytes)
{
    return (unsigned)bytes[0] << 8 | bytes[1];
}

/* Parses a record header, WIRE_HEADER_LEN bytes. */
static inline struct wire_record wire_read_header(const unsigned char *bytes)
{
    return (struct wire_record){
        .version = bytes[0],
        .type = bytes[1],
        .request_id = wire_two_bytes(bytes + 2),
        .content_len = wire_two_bytes(bytes + 4),
        .padding_len = bytes[6],
        .content = bytes + WIRE_HEADER_LEN,
    };
}

static inline size_t wire_record_len(const struct wire_record *record)
{
    return WIRE_HEADER_LEN + record->content_len + record->padding_len;
}

/* Appends a record without padding; `content` is at most 65,535 bytes. */
static inline void wire_append_record(struct buffer *out, enum wire_type type, unsigned request_id,
                                      struct str content)
{
    const unsigned char header[WIRE_HEADER_LEN] = {WIRE_VERSION,
                                                   (unsigned char)type,
                                                   (unsigned char)(request_id >> 8),
                                                   (unsigned char)request_id,
                                                   (unsigned char)(content.len >> 8),
                                                   (unsigned char)content.len};
    buffer_append(out, header, sizeof header);
    buffer_append_str(out, content);
}

#endif
