/* SPDX-License-Identifier: MIT */
#include "server/frame.h"

#include <stdbool.h>

#include "server/wire.h"

enum { PAIR_MAX = 0xFFFF /* longest accepted name or value; more than any web server sends */ };

/* State of parsing name-value pairs, which may extend over several records. */
struct pairs {
    unsigned char lengths[8]; /* length bytes of the current pair read so far */
    size_t lengths_len;
    size_t skip; /* bytes of its name and value that remain to be skipped */
};

struct progress {
    struct pairs pairs;
    unsigned request_id; /* 0: no request has begun */
    bool has_params;
    bool has_body;
};

/* Reads a length of one byte, or of four if the top bit is set. Returns false if it is
 * incomplete. */
static bool read_length(const unsigned char *bytes, size_t len, size_t *taken, size_t *length)
{
    *taken = len > 0 && bytes[0] >= 0x80 ? 4 : 1;
    if (len < *taken)
        return false;
    *length = *taken == 1
                  ? bytes[0]
                  : (size_t)(wire_two_bytes(bytes) & 0x7FFF) << 16 | wire_two_bytes(bytes + 2);
    return true;
}

/* Adds a byte to the lengths of a pair. Returns false if a length exceeds PAIR_MAX. */
static bool read_lengths(struct pairs *pairs, unsigned char byte)
{
    size_t taken;
    size_t name;
    size_t value;
    pairs->lengths[pairs->lengths_len++] = byte;
    if (!read_length(pairs->lengths, pairs->lengths_len, &taken, &name) ||
        !read_length(pairs->lengths + taken, pairs->lengths_len - taken, &taken, &value))
        return true;
    pairs->lengths_len = 0;
    pairs->skip = name + value;
    return name <= PAIR_MAX && value <= PAIR_MAX;
}

/* Continues parsing pairs with the content of a record. */
static bool read_pairs(struct pairs *pairs, const struct wire_record *record)
{
    for (size_t at = 0; at < record->content_len;) {
        size_t left = record->content_len - at;
        size_t skipped = pairs->skip < left ? pairs->skip : left;
        pairs->skip -= skipped;
        at += skipped;
        if (at < record->content_len && !read_lengths(pairs, record->content[at++]))
            return false;
    }
    return true;
}

static bool advance_params(struct progress *progress, const struct wire_record *record)
{
    if (record->content_len > 0)
        return read_pairs(&progress->pairs, record);
    progress->has_params = true;
    return record->padding_len == 0 && progress->pairs.skip == 0 &&
           progress->pairs.lengths_len == 0;
}

/* Advances by one complete record. Returns false if the record is not acceptable at this point.
 *
 * Some records are rejected because of bugs in libfcgi (2.4.2 to 2.4.5): it writes beyond its
 * buffer when answering a management record (request id 0) that asks for many values; it takes
 * other management records for parameters; and it takes padding after BEGIN_REQUEST, or after the
 * empty record that ends the parameters, for the next record. No web server sends any of these. */
static bool advance(struct progress *progress, const struct wire_record *record)
{
    if (record->type == WIRE_BEGIN_REQUEST) {
        bool first = progress->request_id == 0;
        progress->request_id = record->request_id;
        return first && progress->request_id != 0 && record->content_len == WIRE_BEGIN_LEN &&
               record->padding_len == 0 && wire_two_bytes(record->content) == WIRE_RESPONDER;
    }
    if (record->request_id != progress->request_id)
        return false;
    if (record->type == WIRE_PARAMS && !progress->has_params)
        return advance_params(progress, record);
    if (record->type == WIRE_STDIN && progress->has_params) {
        progress->has_body = record->content_len == 0;
        return true;
    }
    return false;
}

enum frame frame_look(const unsigned char *bytes, size_t len)
{
    struct progress progress = {0};
    while (len >= WIRE_HEADER_LEN && !progress.has_body) {
        struct wire_record record = wire_read_header(bytes);
        size_t record_len = wire_record_len(&record);
        if (record.version != WIRE_VERSION)
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
