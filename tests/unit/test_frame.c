/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/base.h"
#include "server/frame.h"

static unsigned char bytes[4096];
static size_t len;

static void record(int type, int id, const char *content, size_t content_len, size_t padding)
{
    const unsigned char header[] = {1,
                                    (unsigned char)type,
                                    (unsigned char)(id >> 8),
                                    (unsigned char)id,
                                    (unsigned char)(content_len >> 8),
                                    (unsigned char)content_len,
                                    (unsigned char)padding,
                                    0};
    memcpy(bytes + len, header, sizeof header);
    memcpy(bytes + len + sizeof header, content, content_len);
    memset(bytes + len + sizeof header + content_len, 0, padding);
    len += sizeof header + content_len + padding;
}

static void begin(int role)
{
    const char body[8] = {0, (char)role, 1};
    len = 0;
    record(1, 1, body, sizeof body, 0);
}

/* Looks at a copy of just the right size, so that a sanitizer sees a byte read too many. */
static enum frame look(size_t some)
{
    unsigned char *copy = malloc(some == 0 ? 1 : some);
    memcpy(copy, bytes, some);
    enum frame frame = frame_look(copy, some);
    free(copy);
    return frame;
}

Test(frame, sees_how_far_a_request_has_come)
{
    begin(1);
    record(4, 1, "\4\1NAMEv", 7, 1);
    record(4, 1, "", 0, 0);
    size_t headed = len;
    record(5, 1, "body", 4, 4);
    record(5, 1, "", 0, 3);
    for (size_t some = 0; some <= len; some++) {
        enum frame expected = some < headed ? FRAME_PARTIAL
                              : some < len  ? FRAME_HEADED
                                            : FRAME_COMPLETE;
        cr_expect(look(some) == expected, "%zu of %zu: %d", some, len, look(some));
    }
    record(1, 1, "what comes behind does not count", 8, 0);
    cr_expect(look(len) == FRAME_COMPLETE);
}

/* A request whose parameters are `content`, cut into records of `chunk` bytes. */
static enum frame look_at_params(const char *content, size_t content_len, size_t chunk)
{
    begin(1);
    for (size_t at = 0; at < content_len; at += chunk)
        record(4, 1, content + at, content_len - at < chunk ? content_len - at : chunk, 0);
    record(4, 1, "", 0, 0);
    record(5, 1, "", 0, 0);
    return look(len);
}

Test(frame, follows_pairs_over_records_and_refuses_lengths_that_lie)
{
    static const char pairs[] = "\1\2abb\x80\0\0\3\1aaab\0\0\2\x80\0\0\1aab";
    for (size_t chunk = 1; chunk < sizeof pairs; chunk++)
        cr_expect(look_at_params(pairs, sizeof pairs - 1, chunk) == FRAME_COMPLETE, "%zu", chunk);
    static const struct {
        const char *content;
        size_t content_len;
    } lies[] = {
        {"\1", 1},                           /* a length is missing */
        {"\1\1a", 3},                        /* a value is */
        {"\x80\0\0", 3},                     /* half a length */
        {"\x7F\x7Fx", 3},                    /* longer than all there is */
        {"\xFF\xFF\xFF\xFE\0", 5},           /* INT_MAX - 1 */
        {"\xFF\xFF\xFF\xF0\x80\0\0\x12", 8}, /* beyond INT_MAX together */
        {"\xC0\0\0\0\xC0\0\0\0", 8},         /* so too, in halves */
        {"\x80\1\0\0\0", 5},                 /* 64 KiB */
    };
    for (size_t i = 0; i < ARRAY_LEN(lies); i++)
        for (size_t chunk = 1; chunk <= lies[i].content_len; chunk++)
            cr_expect(look_at_params(lies[i].content, lies[i].content_len, chunk) == FRAME_BAD,
                      "row %zu by %zu", i, chunk);
}

Test(frame, refuses_what_is_no_request)
{
    static const struct {
        int type, id;
        const char *content;
        size_t content_len;
    } rows[] = {
        {4, 1, "", 0},                 /* parameters before the beginning */
        {5, 1, "", 0},                 /* a body before it */
        {2, 1, "", 0},                 /* an abort */
        {8, 1, "", 0},                 /* data of a filter */
        {99, 1, "", 0},                /* nothing known */
        {1, 1, "\0\1", 2},             /* a short beginning */
        {1, 1, "\0\2\0\0\0\0\0\0", 8}, /* an authorizer */
        {1, 1, "\0\3\0\0\0\0\0\0", 8}, /* a filter */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        len = 0;
        record(rows[i].type, rows[i].id, rows[i].content, rows[i].content_len, 0);
        cr_expect(look(len) == FRAME_BAD, "row %zu", i);
    }
    begin(1);
    bytes[0] = 2;
    cr_expect(look(8) == FRAME_BAD, "another version");
    begin(1);
    begin(1);
    record(1, 1, "\0\1\0\0\0\0\0\0", 8, 0);
    cr_expect(look(len) == FRAME_BAD, "a second beginning");
    begin(1);
    record(4, 2, "", 0, 0);
    cr_expect(look(len) == FRAME_BAD, "another request's parameters");
    begin(1);
    record(5, 1, "x", 1, 0);
    cr_expect(look(len) == FRAME_BAD, "a body before the parameters ended");
    len = 0;
    record(9, 0, "\x0F\0FCGI_MPXS_CONNS", 17, 7);
    cr_expect(look(len) == FRAME_BAD, "a management record");
    begin(1);
    record(99, 0, "", 0, 0);
    cr_expect(look(len) == FRAME_BAD, "another one, within a request");
    len = 0;
    record(1, 1, "\0\1\1\0\0\0\0\0", 8, 8);
    cr_expect(look(len) == FRAME_BAD, "a padded beginning");
    begin(1);
    record(4, 1, "", 0, 8);
    cr_expect(look(len) == FRAME_BAD, "a padded end of the parameters");
    begin(1);
    record(4, 1, "", 0, 0);
    record(4, 1, "", 0, 0);
    cr_expect(look(len) == FRAME_BAD, "parameters after their end");
}
