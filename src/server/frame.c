/* SPDX-License-Identifier: MIT */
#include "server/frame.h"

#include <stdbool.h>

#include "server/wire.h"

enum { PAIR_MAX = 0xFFFF /* longest accepted name or value; more than any web server sends */ };

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
static bool read_lengths(struct frame_pairs *pairs, unsigned char byte)
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
static bool read_pairs(struct frame_pairs *pairs, const struct wire_record *record)
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

static bool advance_params(struct frame_reader *reader, const struct wire_record *record)
{
    if (record->content_len > 0)
        return read_pairs(&reader->pairs, record);
    reader->has_params = true;
    return record->padding_len == 0 && reader->pairs.skip == 0 && reader->pairs.lengths_len == 0;
}

/* Advances by one complete record. Returns false if the record is not acceptable at this point.
 *
 * Some records are rejected because of bugs in libfcgi (2.4.2 to 2.4.5): it writes beyond its
 * buffer when answering a management record (request id 0) that asks for many values; it takes
 * other management records for parameters; and it takes padding after BEGIN_REQUEST, or after the
 * empty record that ends the parameters, for the next record. No web server sends any of these. */
static bool advance(struct frame_reader *reader, const struct wire_record *record)
{
    if (record->type == WIRE_BEGIN_REQUEST) {
        bool first = reader->request_id == 0;
        reader->request_id = record->request_id;
        return first && reader->request_id != 0 && record->content_len == WIRE_BEGIN_LEN &&
               record->padding_len == 0 && wire_two_bytes(record->content) == WIRE_RESPONDER;
    }
    if (record->request_id != reader->request_id)
        return false;
    if (record->type == WIRE_PARAMS && !reader->has_params)
        return advance_params(reader, record);
    if (record->type == WIRE_STDIN && reader->has_params) {
        reader->has_body = record->content_len == 0;
        reader->body_len += record->content_len;
        return true;
    }
    return false;
}

enum frame frame_read(struct frame_reader *reader, const unsigned char *bytes, size_t len)
{
    while (len - reader->at >= WIRE_HEADER_LEN && !reader->has_body) {
        struct wire_record record = wire_read_header(bytes + reader->at);
        if (record.version != WIRE_VERSION)
            return FRAME_BAD;
        if (len - reader->at < wire_record_len(&record))
            break;
        if (!advance(reader, &record))
            return FRAME_BAD;
        reader->at += wire_record_len(&record);
        if (record.type == WIRE_PARAMS)
            reader->params_end = reader->at;
    }
    if (reader->has_body)
        return FRAME_COMPLETE;
    return reader->has_params ? FRAME_HEADED : FRAME_PARTIAL;
}

enum frame frame_look(const unsigned char *bytes, size_t len)
{
    struct frame_reader reader = {0};
    return frame_read(&reader, bytes, len);
}
